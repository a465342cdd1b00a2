"""Waits until what was written is in effect in Envoy, or rejected."""

from __future__ import annotations

import time
from collections.abc import Iterable

from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable, rejected_policy_updates
from heterollm_agent.policy import PolicyRefused
from heterollm_agent.policy_stages import engines_of

__all__ = ["EnvoyUpdate", "wait_for_engines"]

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.02
"""Seconds between two polls of Envoy, doubling: polls keep it from the work that is waited for."""
_POLLS_PER_CHECK = 5
"""One poll of so many also looks for rejections, which costs Envoy three times as much."""
_UPDATE_LIMIT = 10.0
"""Seconds to wait for new clusters; then the policy takes effect without them and the next tier serves."""
_ENGINES_LIMIT = 3.0
"""Seconds that old engines stay for new ones to pass a health check. The old ones' preStop hooks give them 5."""
_ENGINES_PAUSE = 0.01


class EnvoyUpdate:
    """One policy on its way into Envoy. Waits for nothing while Envoy is unreachable: it reads all when it starts."""

    def __init__(self, envoy: EnvoyAdmin) -> None:
        self._envoy = envoy
        try:
            self._rejected_before = rejected_policy_updates(envoy.stats())
        except EnvoyUnreachable:
            self._rejected_before = 0

    def wait(self, kind: str, version: str) -> None:
        """Wait until Envoy has accepted this version of `kind` (cds, lds, rds), and warmed the clusters if it is cds.

        Raises PolicyRefused when Envoy rejects it, or has not accepted it in time.
        """
        deadline = time.monotonic() + _UPDATE_LIMIT
        pause, polls = _FIRST_PAUSE, 1
        try:
            while not self._in_effect(kind, version):
                if polls % _POLLS_PER_CHECK == 0:
                    self.check()
                if time.monotonic() > deadline:
                    self._give_up(kind, version)
                    return
                time.sleep(pause)
                pause, polls = min(2 * pause, _LONGEST_PAUSE), polls + 1
        except EnvoyUnreachable:
            return

    def check(self) -> None:
        """Raise PolicyRefused if Envoy has rejected anything; endpoints too, which have no version to wait for."""
        try:
            if rejected_policy_updates(self._envoy.stats()) > self._rejected_before:
                raise PolicyRefused("Envoy rejected a part of it")
        except EnvoyUnreachable:
            return

    def _in_effect(self, kind: str, version: str) -> bool:
        return self._envoy.accepted_version(kind) == version and (kind != "cds" or self._envoy.warming_clusters() == 0)

    def _give_up(self, kind: str, version: str) -> None:
        if self._envoy.accepted_version(kind) != version:
            raise PolicyRefused(f"Envoy has not accepted {kind} {version} within {_UPDATE_LIMIT:.0f} s")


def wait_for_engines(assignments: Iterable[str], envoy: EnvoyAdmin) -> None:
    """Wait until each of these tiers has an engine that passed a health check, if it has any; 3 s for all together.

    For Envoy a cluster is ready after its first health check, even a failed one.
    """
    deadline = time.monotonic() + _ENGINES_LIMIT
    for assignment in assignments:
        cluster, engines = engines_of(assignment)
        if engines:
            _wait_for_one(cluster, engines, envoy, deadline)


def _wait_for_one(cluster: str, engines: set[tuple[str, int]], envoy: EnvoyAdmin, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            if envoy.healthy_hosts(cluster) & engines:
                return
        except EnvoyUnreachable:
            return
        time.sleep(_ENGINES_PAUSE)
