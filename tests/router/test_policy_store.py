"""When the agent removes what a policy no longer has: after a minute, and also if it was restarted meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from heterollm_agent.policy import Policy, PolicyRefused
from heterollm_agent.policy_store import PolicyStore
from heterollm_agent.xds_directory import AppliedPolicy, XdsDirectory

LONG, SHORT = 61.0, 59.0


class World:
    """A store, and what it does."""

    def __init__(self, directory: XdsDirectory) -> None:
        self.now = 1000.0
        self.applied: list[int] = []
        self.pruned: list[int] = []
        self.refuses = False
        self.store = PolicyStore(
            directory, self._apply, lambda policy: self.pruned.append(policy.version), lambda: self.now
        )

    def _apply(self, policy: Policy) -> None:
        if self.refuses:
            raise PolicyRefused("rejected")
        self.applied.append(policy.version)

    def offer(self, version: int) -> None:
        """A policy from the API server."""
        self.store.offer_watched(lambda: Policy(version, "uid", {}))

    def later(self, seconds: float) -> None:
        """Time passes, and the API server sends a bookmark."""
        self.now += seconds
        self.store.prune_when_due()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(XdsDirectory(tmp_path))


def test_a_policy_is_pruned_once_it_has_been_in_effect_for_a_while(world: World) -> None:
    world.offer(1)
    world.later(SHORT)
    assert world.pruned == []
    world.later(LONG - SHORT)
    assert world.pruned == [1]
    world.later(LONG)
    assert world.pruned == [1], "there is nothing more to drop"


def test_a_newer_policy_gives_its_forerunners_requests_their_time(world: World) -> None:
    world.offer(1)
    world.later(SHORT)
    world.offer(2)
    world.later(SHORT)
    assert world.pruned == []
    world.later(LONG)
    assert world.pruned == [2]


def test_a_refused_policy_is_not_what_is_pruned(world: World) -> None:
    world.offer(1)
    world.refuses = True
    world.offer(2)
    world.later(LONG)
    assert world.pruned == [1]


def test_what_a_former_process_has_left_is_pruned(tmp_path: Path) -> None:
    directory = XdsDirectory(tmp_path)
    directory.record_applied(AppliedPolicy(7, "uid"))
    world = World(directory)
    world.later(LONG)
    assert world.pruned == [], "what is in effect is not known yet"
    world.offer(7)
    world.later(SHORT)
    world.offer(7)
    world.later(LONG - SHORT)
    assert (world.applied, world.pruned) == ([], [7])
