"""Leader election by a Lease: one replica decides and writes, the others watch.

Time is measured by the local monotonic clock only. A candidate takes over when the Lease has not changed *before its
own eyes* for the lease's duration, so clocks of different machines need not agree. The leader stops writing at the
renew deadline, measured from before its last successful renewal was sent; as every request is shorter than the rest
of the lease, none of its writes arrives after a successor's first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from heterollm_operator.kube.client import ApiError
from heterollm_operator.runtime.clock import Clock

__all__ = ["Elector", "LeaseLost", "LeaseStore", "Timing"]

_log = logging.getLogger(__name__)

_MICRO_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class LeaseLost(Exception):
    """The lease could not be renewed in time, or someone else holds it: this process must not write any more."""


class LeaseStore(Protocol):
    """Where the Lease is kept. Every call raises ApiError and ends within `Timing.request` seconds."""

    async def get(self) -> dict[str, Any]:
        """The Lease; ApiError 404 when there is none."""

    async def create(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Make it; ApiError 409 when somebody was faster."""

    async def update(self, version: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Replace it if it still has that resourceVersion, else ApiError 409."""


@dataclass(frozen=True)
class Timing:
    """Seconds. A successor leads within `duration` + `retry` + `request` of the leader's last renewal."""

    duration: float = 9.0
    deadline: float = 6.0
    retry: float = 2.0
    request: float = 2.5

    def __post_init__(self) -> None:
        if not self.request < self.duration - self.deadline or not self.retry < self.deadline < self.duration:
            raise ValueError("a request must be shorter than duration minus deadline, and retry < deadline < duration")


class Elector:
    """Holds, renews and releases the lease."""

    def __init__(
        self, store: LeaseStore, identity: str, clock: Clock, timing: Timing, on_lead: Callable[[], None]
    ) -> None:
        """`identity` is unique to this process; `on_lead` is called once, when it becomes the leader."""
        self._store = store
        self._identity = identity
        self._clock = clock
        self._timing = timing
        self._on_lead = on_lead
        self._lease: dict[str, Any] | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None
        self._complaint = ""
        self.beat: float | None = None
        """When the loop last turned (monotonic seconds), once it runs: a hung loop shows here."""

    @property
    def leading(self) -> bool:
        """Whether this process may decide and write right now."""
        renewed = self._renewed_at
        return renewed is not None and self._clock.monotonic() < renewed + self._timing.deadline

    async def run(self) -> None:
        """Take part until the lease, once held, is lost: then LeaseLost."""
        while True:
            self.beat = started = self._clock.monotonic()
            pause = self._timing.retry
            try:
                if await self._try():
                    self._succeed(started)
                else:
                    pause = self._patience()
            except ApiError as error:
                self._complain(str(error))
                if self._renewed_at is not None:
                    pause = self._timing.retry / 4
            if self._renewed_at is not None and not self.leading:
                raise LeaseLost(f"the lease could not be renewed for {self._timing.deadline:g} s")
            await self._clock.sleep(pause)

    async def release(self) -> None:
        """Give the lease up at once, so that a successor need not wait for its end."""
        if self.leading and self._lease is not None:
            self._renewed_at = None
            await self._store.update(_version(self._lease), self._spec(holder="", duration=1.0))

    def _complain(self, error: str) -> None:
        """Log what went wrong, but not again and again."""
        if error != self._complaint:
            _log.warning("Lease: %s", error)
        self._complaint = error

    def _succeed(self, started: float) -> None:
        self._complaint = ""
        first = self._renewed_at is None
        self._renewed_at = started
        if first:
            _log.info("This replica (%s) leads", self._identity)
            self._on_lead()

    def _patience(self) -> float:
        """Seconds until a candidate tries again: it wakes exactly when the lease it sees would end."""
        left = self._seen_at + _duration(self._lease) - self._clock.monotonic()
        return min(self._timing.retry, max(left, 0.0) + 0.05)

    async def _try(self) -> bool:
        """One attempt to take or renew the lease; False when another replica holds it."""
        if self._renewed_at is None or self._lease is None:
            await self._read()
        if self._lease is None:
            self._keep(await self._store.create(self._spec(self._identity, self._timing.duration)))
            return True
        if not self._available(self._lease):
            return False
        try:
            spec = self._spec(self._identity, self._timing.duration)
            self._keep(await self._store.update(_version(self._lease), spec))
        except ApiError as error:
            if error.status in (404, 409):
                await self._resolve_conflict()
            raise
        return True

    async def _resolve_conflict(self) -> None:
        """The Lease is not what this replica last saw: a leader learns whether it was deposed."""
        await self._read()
        holder = _holder(self._lease)
        if self._renewed_at is not None and holder != self._identity:
            self._renewed_at = None
            raise LeaseLost(f"{holder or 'nobody'} holds the lease now")

    async def _read(self) -> None:
        try:
            self._keep(await self._store.get())
        except ApiError as error:
            if error.status != 404:
                raise
            self._lease = None

    def _keep(self, lease: dict[str, Any]) -> None:
        """Remember the Lease, and when it was first seen in this version."""
        if self._lease is None or _version(lease) != _version(self._lease):
            self._seen_at = self._clock.monotonic()
        self._lease = lease

    def _available(self, lease: dict[str, Any]) -> bool:
        if _holder(lease) in ("", self._identity):
            return True
        return self._clock.monotonic() >= self._seen_at + _duration(lease)

    def _spec(self, holder: str, duration: float) -> dict[str, Any]:
        now = self._clock.utc().strftime(_MICRO_TIME)
        old: dict[str, Any] = self._lease["spec"] if self._lease is not None else {}
        same = old.get("holderIdentity") == holder
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(duration),
            "acquireTime": old.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": old.get("leaseTransitions", 0) + (0 if same or not holder else 1),
        }


def _version(lease: dict[str, Any]) -> str:
    return str(lease["metadata"]["resourceVersion"])


def _holder(lease: dict[str, Any] | None) -> str:
    return str(lease["spec"].get("holderIdentity") or "") if lease is not None else ""


def _duration(lease: dict[str, Any] | None) -> float:
    return float(lease["spec"].get("leaseDurationSeconds") or 0) if lease is not None else 0.0
