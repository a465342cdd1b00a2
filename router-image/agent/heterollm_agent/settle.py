"""Waiting until Envoy has taken over what was written, or has refused it."""

from __future__ import annotations

import time

from heterollm_agent.envoy import Envoy, EnvoyAway, policy_rejections

__all__ = ["Refused", "Settling"]

_POLL = 0.01
"""Seconds between two looks at Envoy."""
_CLOSER = 5
"""Looks for the version alone before each one at everything, which costs Envoy six times as much."""
_LIMIT = 10.0
"""Seconds to wait for new clusters; beyond, the policy goes on and the next tier serves."""


class Refused(RuntimeError):
    """Envoy refused the policy."""


class Settling:
    """One policy on its way into Envoy. An Envoy that is not there reads everything when it starts."""

    def __init__(self, envoy: Envoy) -> None:
        self._envoy = envoy
        try:
            self._refusals = policy_rejections(envoy.stats())
        except EnvoyAway:
            self._refusals = 0

    def wait(self, kind: str, version: str) -> None:
        """Until Envoy has taken over this version of `kind` and all its clusters are ready."""
        deadline = time.monotonic() + _LIMIT
        looks = 0
        try:
            while not self._done(kind, version, closer=looks % _CLOSER == _CLOSER - 1):
                if time.monotonic() > deadline:
                    self._give_up(kind, version)
                    return
                time.sleep(_POLL)
                looks += 1
        except EnvoyAway:
            return

    def check(self) -> None:
        """Whether all was taken: endpoints too, which have no version to wait for."""
        try:
            if policy_rejections(self._envoy.stats()) > self._refusals:
                raise Refused("Envoy refused a part of it")
        except EnvoyAway:
            return

    def _done(self, kind: str, version: str, *, closer: bool) -> bool:
        taken = self._envoy.version(kind) == version
        if not taken:
            if closer:
                self.check()
            return False
        # Nothing but clusters warms up.
        return kind != "cds" or self._envoy.stats().get("cluster_manager.warming_clusters", "0") == "0"

    def _give_up(self, kind: str, version: str) -> None:
        if self._envoy.version(kind) != version:
            raise Refused(f"Envoy has not taken {kind} {version} within {_LIMIT:.0f} s")
