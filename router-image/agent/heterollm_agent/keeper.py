"""Decides which of the policies it is shown is applied: never an older one, and no refused one twice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from heterollm_agent.policy import MalformedPolicy, Policy, PolicyRefused
from heterollm_agent.xds_directory import AppliedPolicy, XdsDirectory

__all__ = ["Keeper"]

_log = logging.getLogger(__name__)
_LINGER = 60.0
"""Seconds for which tiers that the policy no longer has stay, for requests that came before and are sent, or sent
again, only now."""


class Keeper:
    """Holds what is applied; shown policies by one thread, read by others."""

    def __init__(
        self,
        directory: XdsDirectory,
        apply: Callable[[Policy], None],
        tidy: Callable[[Policy], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tidy` is called with a policy that has been in force for a while."""
        self._directory = directory
        self._apply = apply
        self._tidy = tidy
        self._now = now
        self._present: Policy | None = None
        """In force; None as long as this process has not seen it."""
        self._untidied_since: float | None = None
        self._lock = threading.Lock()
        self._applied = directory.applied()
        self._refused: tuple[str | None, int] | None = None
        self.refused_version = 0
        """Version of the policy that Envoy has refused and that nothing has replaced since; 0 if there is none."""
        self.refusals = 0
        """Policies not taken over since the start: malformed, or refused by Envoy (number)."""

    @property
    def applied(self) -> AppliedPolicy | None:
        """What is in the directory now."""
        with self._lock:
            return self._applied

    def show_live(self, read: Callable[[], Policy]) -> None:
        """A policy from the API server. A re-created ConfigMap (another uid) may count from 1 again."""
        policy = self._read(read)
        if policy is None:
            return
        applied = self.applied
        if applied is None or policy.uid != applied.uid or policy.version > applied.version:
            self._take(policy)
        elif policy.version == applied.version and self._present is None:
            # Applied by a former process, which may have ended before it was tidied.
            self._in_force(policy)

    def show_seed(self, read: Callable[[], Policy | None]) -> None:
        """The mounted policy, which lags: of use only until the API server has been heard."""
        policy = self._read(read)
        if policy is None:
            return
        applied = self.applied
        if applied is None or (applied.uid is None and policy.version > applied.version):
            self._take(policy)

    def tidy(self) -> None:
        """To be called now and then by the thread that shows policies."""
        since = self._untidied_since
        if self._present is not None and since is not None and self._now() - since >= _LINGER:
            self._tidy(self._present)
            self._untidied_since = None

    def _in_force(self, policy: Policy) -> None:
        self._present, self._untidied_since = policy, self._now()

    def _read(self, read: Callable[[], Policy | None]) -> Policy | None:
        try:
            return read()
        except MalformedPolicy as error:
            self.refusals += 1
            _log.error("policy ignored: %s", error)
            return None

    def _take(self, policy: Policy) -> None:
        if self._refused == (policy.uid, policy.version):
            return
        try:
            self._apply(policy)
        except PolicyRefused as error:
            self.refusals += 1
            self._refused = (policy.uid, policy.version)
            self.refused_version = policy.version
            _log.error("policy %d not applied: %s", policy.version, error)
            return
        self._in_force(policy)
        with self._lock:
            self._applied = AppliedPolicy(policy.version, policy.uid)
        self.refused_version = 0
        _log.info("policy %d applied", policy.version)
