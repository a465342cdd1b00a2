"""All pods of an engine or none, decided without a cluster: who releases its GPUs, when and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.api.v1alpha1.status import PlacementStatus
from heterollm_controllers.engines.gang_placement import (
    JUDGED_AFTER,
    LONGEST_BACKOFF,
    SPREAD_OF_TIME,
    Candidate,
    Placement,
    as_placed,
    place_gangs,
)
from heterollm_controllers.engines.gang_restart import KILL_GRACE_SECONDS
from heterollm_controllers.observation.engines import ObservedEngine, ObservedPod
from tests.core.builders import NOW
from tests.core.properties import quick

TIME = timedelta(seconds=300)
LATEST = TIME * (1 + SPREAD_OF_TIME)
SECOND = timedelta(seconds=1)
NOTHING = PlacementStatus()

# One letter per pod: (b)ound, (u)nschedulable, (n)ew and not judged yet, (l)eaving and bound, (k)illed, (-) not there.
_STATE = {"b": (True, None), "u": (False, "no GPUs"), "n": (False, None), "l": (True, None), "k": (True, None)}


def pod(rank: int, state: str, age: timedelta) -> ObservedPod:
    bound, unschedulable = _STATE[state]
    grace = {"l": 315, "k": KILL_GRACE_SECONDS}.get(state)
    return ObservedPod(
        *(f"pod-{rank}", f"uid-{rank}", rank, None, False, grace is not None, 0, "r", unschedulable, False),
        bound=bound,
        created=NOW - age,
        grace=grace,
    )


def engine(pods: str, number: int = 0, age: timedelta = TIME, leaving: bool = False) -> ObservedEngine:
    made = tuple(pod(rank, state, age) for rank, state in enumerate(pods) if state != "-")
    return ObservedEngine(f"e-{number}", f"uid-of-{number}", "t", number, "r", len(pods), leaving, made)


def candidate(
    pods: str, memory: PlacementStatus = NOTHING, number: int = 0, pool: str = "a", **more: object
) -> Candidate:
    return Candidate(engine(pods, number, **more), memory, pool, TIME)  # type: ignore[arg-type]


def place(pods: str, memory: PlacementStatus = NOTHING, now: datetime = NOW) -> Placement:
    return place_gangs([candidate(pods, memory)], now)["e-0"]


def half_since(since: datetime, **more: object) -> PlacementStatus:
    return PlacementStatus.model_validate({"half_since": since, **more})


# --- one engine


@pytest.mark.parametrize("pods", ["bu", "ub", "bbu", "buun", "b-u"])
def test_half_placed_engine_is_noticed_and_has_its_time(pods: str) -> None:
    seen = place(pods)
    assert (seen.memory, seen.off, seen.pods_to_delete) == (half_since(NOW), False, ())
    assert seen.deadline is not None
    assert NOW + TIME <= seen.deadline <= NOW + LATEST
    before = place(pods, seen.memory, seen.deadline - SECOND)
    assert (before.memory, before.off, before.released) == (seen.memory, False, "")


@pytest.mark.parametrize("pods", ["bu", "bbbu", "b-", "bn"])
def test_it_releases_its_gpus_then_with_its_backoff_recorded(pods: str) -> None:
    deadline = place(pods).deadline
    now = (deadline or NOW) + LATEST
    released = place(pods, half_since(NOW), now)
    assert released.off
    assert {item.uid for item in released.pods_to_delete} == {
        f"uid-{rank}" for rank, state in enumerate(pods) if state != "-"
    }
    placed = pods.count("b")
    assert f"{placed} of {len(pods)} pods found a node" in released.released
    memory = released.memory
    assert (memory.releases, memory.placed, memory.half_since, memory.room_since) == (1, placed, None, None)
    assert memory.retry_at is not None
    assert now + TIME <= memory.retry_at <= now + 2 * TIME
    assert released.deadline == memory.retry_at


@pytest.mark.parametrize("pods", ["uu", "nn", "--", "un", "-u", "ll", "lu"])
def test_engine_that_holds_nothing_has_nothing_to_release(pods: str) -> None:
    for memory in (NOTHING, half_since(NOW - 10 * TIME)):
        seen = place(pods, memory)
        assert (seen.off, seen.released, seen.pods_to_delete, seen.deadline) == (False, "", (), None)


@pytest.mark.parametrize("pods", ["b", "u", "n"])
def test_single_node_engines_are_left_to_the_scheduler(pods: str) -> None:
    assert place_gangs([candidate(pods, half_since(NOW - 10 * TIME))], NOW) == {}


def test_engine_that_leaves_is_left_alone() -> None:
    assert place_gangs([candidate("bu", half_since(NOW - 10 * TIME), leaving=True)], NOW) == {}


@pytest.mark.parametrize("memory", [NOTHING, half_since(NOW - 10 * TIME), half_since(NOW, releases=7, placed=1)])
def test_all_is_forgiven_once_it_is_placed_whole(memory: PlacementStatus) -> None:
    assert place("bb", memory) == Placement()


def test_restarted_pods_do_not_start_the_clock_anew() -> None:
    """A rank without its companions may end, and end again: each time all pods are made anew."""
    memory = half_since(NOW - TIME)
    for between in ("--", "n-", "nn", "un", "bn"):
        assert place(between, memory).memory == memory


def test_clock_starts_anew_once_it_held_nothing_at_all() -> None:
    assert place("uu", half_since(NOW - TIME, releases=2)).memory == PlacementStatus(releases=2)


def test_companions_that_are_never_made_count_as_missing_after_a_while() -> None:
    """A quota lets one pod in and refuses the next: there is no pod that could be unschedulable."""
    fresh = place_gangs([candidate("b-", age=SECOND)], NOW)["e-0"]
    assert fresh.memory == NOTHING
    assert fresh.deadline == NOW - SECOND + JUDGED_AFTER
    assert place_gangs([candidate("b-", age=JUDGED_AFTER)], NOW)["e-0"].memory == half_since(NOW)


def test_pods_on_their_way_are_not_waited_for_on_record() -> None:
    """Else every start of an engine would write its status twice more."""
    assert place_gangs([candidate("bn", age=SECOND)], NOW)["e-0"].memory == NOTHING


# --- the back-off


def waiting(until: datetime, releases: int = 1) -> PlacementStatus:
    return PlacementStatus(retry_at=until, releases=releases, placed=1)


@pytest.mark.parametrize("pods", ["--", "bb", "bu", "l-", "k-"])
def test_it_stays_without_pods_until_its_backoff_ends(pods: str) -> None:
    memory = waiting(NOW + SECOND)
    seen = place(pods, memory)
    assert (seen.memory, seen.off, seen.released, seen.deadline) == (memory, True, "", NOW + SECOND)


def test_pods_left_over_are_killed_and_those_already_killed_are_not_killed_again() -> None:
    pods_to_delete = place("blkun", waiting(NOW + SECOND)).pods_to_delete
    assert [item.rank for item in pods_to_delete] == [0, 1, 3, 4]


def test_it_looks_for_its_nodes_again_when_the_backoff_ends() -> None:
    tried = place("--", waiting(NOW, releases=3))
    assert (tried.off, tried.memory, tried.pods_to_delete) == (False, PlacementStatus(releases=3, placed=1), ())
    assert "2 nodes" in tried.retried
    again = place("--", tried.memory)
    assert (again.off, again.memory, again.retried) == (False, tried.memory, "")


def test_new_leader_whose_clock_is_behind_does_not_take_a_retry_back() -> None:
    tried = place("--", waiting(NOW))
    assert not place("bu", tried.memory, NOW - TIME).off


def test_backoff_grows_with_every_release_up_to_a_limit() -> None:
    memory, waits = NOTHING, []
    for _ in range(8):
        released = place("bu", memory.model_copy(update={"half_since": NOW}), NOW + LATEST)
        memory = released.memory
        waits.append((memory.retry_at or NOW) - NOW - LATEST)
        memory = memory.model_copy(update={"retry_at": None})
    assert waits == sorted(waits)
    assert waits[0] < 2 * TIME
    assert waits[2] >= 4 * TIME - SECOND
    assert waits[-1] == LONGEST_BACKOFF
    assert memory.releases == 8


# --- engines that wait for each other


def senior_and_juniors(now: datetime, **more: object) -> dict[str, Placement]:
    """ObservedEngine 2 has waited longest."""
    return place_gangs(
        [
            candidate("bu", half_since(NOW + 9 * SECOND), 0),
            candidate("bu", half_since(NOW + SECOND), 1),
            candidate("bu", half_since(NOW, **more), 2),
        ],
        now,
    )


def test_all_but_the_one_that_waits_longest_make_room_for_it() -> None:
    now = NOW + LATEST
    seen = senior_and_juniors(now)
    assert [seen[name].off for name in ("e-0", "e-1", "e-2")] == [True, True, False]
    assert "makes room for e-2" in seen["e-0"].released
    assert seen["e-2"].memory == half_since(NOW, room_since=now)
    assert seen["e-2"].deadline is not None
    assert now + TIME <= seen["e-2"].deadline <= now + LATEST


@pytest.mark.parametrize("first", [0, 1])
def test_whoever_is_due_first_it_is_the_others_that_make_room(first: int) -> None:
    """Else the one that has waited longest would yield a moment after the others have."""
    times = [TIME, 10 * TIME] if first == 0 else [10 * TIME, TIME]
    seen = place_gangs(
        [
            replace(candidate("bu", half_since(NOW), 0), time=times[0]),
            replace(candidate("bu", half_since(NOW + SECOND), 1), time=times[1]),
        ],
        NOW + LATEST + SECOND,
    )
    assert [seen["e-0"].off, seen["e-1"].off] == [False, True]
    assert seen["e-0"].memory.room_since is not None


def test_it_gets_its_time_once_more_and_not_for_ever() -> None:
    """Else a cluster could hold GPUs that another cluster needs, for as long as its own engines come and go."""
    later = NOW + 3 * LATEST
    seen = senior_and_juniors(later, room_since=NOW + LATEST)
    assert seen["e-2"].off


def test_engines_that_want_other_gpus_do_not_make_room() -> None:
    seen = place_gangs(
        [
            candidate("bu", half_since(NOW), 0, pool="a"),
            candidate("bu", half_since(NOW + TIME), 1, pool="b"),
        ],
        NOW + LATEST,
    )
    assert [seen["e-0"].off, seen["e-1"].off] == [True, False]


def test_first_one_stays_of_those_that_wait_equally_long() -> None:
    seen = place_gangs([candidate("bu", half_since(NOW), number) for number in (4, 5)], NOW + LATEST)
    assert [seen["e-4"].off, seen["e-5"].off] == [False, True]


def test_engines_of_different_clusters_yield_and_come_back_at_different_times() -> None:
    """They know nothing of each other, so what differs must come from themselves."""
    due, back = set(), set()
    for number in range(20):
        alone = place_gangs([candidate("bu", number=number)], NOW)[f"e-{number}"]
        released = place_gangs([candidate("bu", alone.memory, number)], NOW + LATEST)[f"e-{number}"]
        due.add(alone.deadline)
        back.add(released.memory.retry_at)
    assert len(due) == 20
    assert len(back) > 15


# --- the StatefulSet


def test_released_engine_has_no_pods_and_the_same_template() -> None:
    whole = {"metadata": {"name": "e-0"}, "spec": {"replicas": 2, "template": {"spec": {}}}}
    assert as_placed(whole, None) == whole
    assert as_placed(whole, place("bu")) == whole
    off = as_placed(whole, place("bu", waiting(NOW + SECOND)))
    assert off == {"metadata": {"name": "e-0"}, "spec": {"replicas": 0, "template": {"spec": {}}}}


# --- any history


class Nodes:
    """Engines of one or several clusters on so many nodes, and a scheduler that takes pods in any order."""

    def __init__(self, nodes: int, engines: list[list[int]]) -> None:
        self.free = nodes
        self.clusters = [dict.fromkeys(numbers, NOTHING) for numbers in engines]
        self.bound = {number: 0 for numbers in engines for number in numbers}
        self.released: list[tuple[int, timedelta]] = []
        self.now = NOW

    def schedule(self, number: int) -> None:
        if self.free and self.bound[number] < 2 and not self._off(number):
            self.free -= 1
            self.bound[number] += 1

    def _off(self, number: int) -> bool:
        return any(number in cluster and cluster[number].retry_at is not None for cluster in self.clusters)

    def place(self) -> None:
        for cluster in self.clusters:
            seen = place_gangs([self._candidate(number, memory) for number, memory in cluster.items()], self.now)
            for number in cluster:
                placement = seen[f"e-{number}"]
                # Through the wire: what a new process would read.
                cluster[number] = PlacementStatus.model_validate(placement.memory.model_dump(by_alias=True))
                if placement.off:
                    self.free += self.bound[number]
                    self.bound[number] = 0
                if placement.released:
                    assert placement.memory.retry_at is not None
                    self.released.append((number, placement.memory.retry_at - self.now))

    def _candidate(self, number: int, memory: PlacementStatus) -> Candidate:
        pods = ("b" * self.bound[number]).ljust(2, "u")
        return candidate("--" if self._off(number) else pods, memory, number)

    @property
    def whole(self) -> list[int]:
        return [number for number, bound in self.bound.items() if bound == 2]


@given(seed=st.integers(0, 2**32), together=st.booleans(), spare=st.integers(0, 1))
@quick(40)
def test_two_halves_never_wait_for_each_other(seed: int, together: bool, spare: int) -> None:
    """Two engines of two pods on two or three nodes, in one cluster or two, from halves on: one soon is whole."""
    order, nodes = Random(seed), Nodes(2 + spare, [[1, 2]] if together else [[1], [2]])
    nodes.schedule(1)
    nodes.schedule(2)
    if not spare:
        assert nodes.whole == []
    limit = NOW + 6 * LATEST
    while not nodes.whole:
        assert nodes.now < limit, "dead-locked"
        _tick(nodes, order)
    winner = nodes.whole
    for _ in range(300):
        _tick(nodes, order)
        assert nodes.whole == winner, "what is whole stays"
    waits = [wait for number, wait in nodes.released if number not in winner]
    assert waits == sorted(waits)
    assert all(number not in winner for number, _ in nodes.released[len(nodes.released) // 2 :])


@given(seed=st.integers(0, 2**32))
@quick(8)
def test_as_many_engines_run_as_fit(seed: int) -> None:
    """Seven nodes hold three engines of two pods and a half, of four in two clusters."""
    order, nodes = Random(seed), Nodes(7, [[1, 2], [3, 4]])
    for _ in range(1000):
        _tick(nodes, order)
    assert len(nodes.whole) == 3


def _tick(nodes: Nodes, order: Random) -> None:
    nodes.now += timedelta(seconds=15)
    turns = sorted(nodes.bound) * 2
    order.shuffle(turns)
    for number in turns:
        nodes.schedule(number)
    nodes.place()
