"""Holds the policy in effect, and decides which offered one replaces it: no older one, and no refused one twice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from heterollm_agent.policy import MalformedPolicy, Policy, PolicyRefused
from heterollm_agent.xds_directory import AppliedPolicy, XdsDirectory

__all__ = ["PolicyStore"]

_log = logging.getLogger(__name__)
_PRUNE_AFTER = 60.0
"""Seconds for which tiers stay that the policy no longer has: earlier requests are sent or retried only now."""


class PolicyStore:
    """The policy in effect. One thread offers policies, others read the properties."""

    def __init__(
        self,
        directory: XdsDirectory,
        apply: Callable[[Policy], None],
        prune: Callable[[Policy], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`apply` may raise PolicyRefused; `prune` gets a policy that has been in effect for a minute."""
        self._directory = directory
        self._apply = apply
        self._prune = prune
        self._now = now
        self._in_effect: Policy | None = None
        """None as long as this process has not seen the policy in effect."""
        self._unpruned_since: float | None = None
        self._lock = threading.Lock()
        self._applied = directory.applied()
        self._last_refused: tuple[str | None, int] | None = None
        self.refused_version = 0
        """Version of the policy that was refused last; 0 once a later one has been applied."""
        self.refusals = 0
        """Policies refused since the start: malformed, or rejected by Envoy (number)."""

    @property
    def applied(self) -> AppliedPolicy | None:
        """Which policy was applied last."""
        with self._lock:
            return self._applied

    def offer_watched(self, read: Callable[[], Policy]) -> None:
        """Apply a policy from the API server if it is newer. A re-created ConfigMap (another uid) may count from 1."""
        policy = self._read(read)
        if policy is None:
            return
        applied = self.applied
        if applied is None or policy.uid != applied.uid or policy.version > applied.version:
            self._try_to_apply(policy)
        elif policy.version == applied.version and self._in_effect is None:
            # Applied by a former process, which may have ended before it pruned.
            self._note_in_effect(policy)

    def offer_seed(self, read: Callable[[], Policy | None]) -> None:
        """Apply the mounted policy, which lags, if it is newer and none has come from the API server."""
        policy = self._read(read)
        if policy is None:
            return
        applied = self.applied
        if applied is None or (applied.uid is None and policy.version > applied.version):
            self._try_to_apply(policy)

    def prune_when_due(self) -> None:
        """Prune once the policy in effect is a minute old. The thread that offers policies calls this now and then."""
        since = self._unpruned_since
        if self._in_effect is not None and since is not None and self._now() - since >= _PRUNE_AFTER:
            self._prune(self._in_effect)
            self._unpruned_since = None

    def _note_in_effect(self, policy: Policy) -> None:
        self._in_effect, self._unpruned_since = policy, self._now()

    def _read(self, read: Callable[[], Policy | None]) -> Policy | None:
        try:
            return read()
        except MalformedPolicy as error:
            self.refusals += 1
            _log.error("policy ignored: %s", error)
            return None

    def _try_to_apply(self, policy: Policy) -> None:
        if self._last_refused == (policy.uid, policy.version):
            return
        try:
            self._apply(policy)
        except PolicyRefused as error:
            self.refusals += 1
            self._last_refused = (policy.uid, policy.version)
            self.refused_version = policy.version
            _log.error("policy %d not applied: %s", policy.version, error)
            return
        self._note_in_effect(policy)
        with self._lock:
            self._applied = AppliedPolicy(policy.version, policy.uid)
        self.refused_version = 0
        _log.info("policy %d applied", policy.version)
