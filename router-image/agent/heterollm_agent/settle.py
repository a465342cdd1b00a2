"""Waiting until Envoy has taken over what was written, or has refused it."""

from __future__ import annotations

import time

from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable, rejected_policy_updates

__all__ = ["Refused", "Settling"]

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.02
"""Seconds between two looks at Envoy, doubling: looks keep it from the work that is waited for."""
_CLOSER = 5
"""One look of so many is also for refusals, which costs Envoy three times as much."""
_LIMIT = 10.0
"""Seconds to wait for new clusters; beyond, the policy goes on and the next tier serves."""


class Refused(RuntimeError):
    """Envoy refused the policy."""


class Settling:
    """One policy on its way into Envoy. An Envoy that is not there reads everything when it starts."""

    def __init__(self, envoy: EnvoyAdmin) -> None:
        self._envoy = envoy
        try:
            self._refusals = rejected_policy_updates(envoy.stats())
        except EnvoyUnreachable:
            self._refusals = 0

    def wait(self, kind: str, version: str) -> None:
        """Until Envoy has taken over this version of `kind`, and all clusters are ready if it is these."""
        deadline = time.monotonic() + _LIMIT
        pause, looks = _FIRST_PAUSE, 1
        try:
            while not self._done(kind, version):
                if looks % _CLOSER == 0:
                    self.check()
                if time.monotonic() > deadline:
                    self._give_up(kind, version)
                    return
                time.sleep(pause)
                pause, looks = min(2 * pause, _LONGEST_PAUSE), looks + 1
        except EnvoyUnreachable:
            return

    def check(self) -> None:
        """Whether all was taken: endpoints too, which have no version to wait for."""
        try:
            if rejected_policy_updates(self._envoy.stats()) > self._refusals:
                raise Refused("Envoy refused a part of it")
        except EnvoyUnreachable:
            return

    def _done(self, kind: str, version: str) -> bool:
        return self._envoy.accepted_version(kind) == version and (kind != "cds" or self._envoy.warming_clusters() == 0)

    def _give_up(self, kind: str, version: str) -> None:
        if self._envoy.accepted_version(kind) != version:
            raise Refused(f"Envoy has not taken {kind} {version} within {_LIMIT:.0f} s")
