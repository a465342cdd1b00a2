"""When the agent drops what a policy no longer has: after a while, and also if it was restarted meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from heterollm_agent.keeper import Keeper
from heterollm_agent.policy import Policy, PolicyRefused
from heterollm_agent.xds_directory import AppliedPolicy, XdsDirectory

LONG, SHORT = 61.0, 59.0


class World:
    """A keeper, and what it does."""

    def __init__(self, directory: XdsDirectory) -> None:
        self.now = 1000.0
        self.applied: list[int] = []
        self.tidied: list[int] = []
        self.refuses = False
        self.keeper = Keeper(
            directory, self._apply, lambda policy: self.tidied.append(policy.version), lambda: self.now
        )

    def _apply(self, policy: Policy) -> None:
        if self.refuses:
            raise PolicyRefused("rejected")
        self.applied.append(policy.version)

    def show(self, version: int) -> None:
        """A policy from the API server."""
        self.keeper.show_live(lambda: Policy(version, "uid", {}))

    def later(self, seconds: float) -> None:
        """Time passes, and the API server gives a sign of life."""
        self.now += seconds
        self.keeper.tidy()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(XdsDirectory(tmp_path))


def test_a_policy_is_tidied_once_it_has_been_in_force_for_a_while(world: World) -> None:
    world.show(1)
    world.later(SHORT)
    assert world.tidied == []
    world.later(LONG - SHORT)
    assert world.tidied == [1]
    world.later(LONG)
    assert world.tidied == [1], "there is nothing more to drop"


def test_a_newer_policy_gives_its_forerunners_requests_their_time(world: World) -> None:
    world.show(1)
    world.later(SHORT)
    world.show(2)
    world.later(SHORT)
    assert world.tidied == []
    world.later(LONG)
    assert world.tidied == [2]


def test_a_refused_policy_is_not_what_is_tidied(world: World) -> None:
    world.show(1)
    world.refuses = True
    world.show(2)
    world.later(LONG)
    assert world.tidied == [1]


def test_what_a_former_process_has_left_is_tidied(tmp_path: Path) -> None:
    directory = XdsDirectory(tmp_path)
    directory.record_applied(AppliedPolicy(7, "uid"))
    world = World(directory)
    world.later(LONG)
    assert world.tidied == [], "what is in force is not known yet"
    world.show(7)
    world.later(SHORT)
    world.show(7)
    world.later(LONG - SHORT)
    assert (world.applied, world.tidied) == ([], [7])
