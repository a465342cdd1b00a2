"""A multi-node engine is restarted once, as a whole, with a back-off that is on record before any pod goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from heterollm_controllers.api.v1alpha1.status import EngineStatus
from heterollm_controllers.engines.gang_restart import (
    FIRST_BACKOFF,
    FORGIVEN_AFTER,
    LONGEST_BACKOFF,
    Gang,
    check_gang,
)
from heterollm_controllers.observation.engines import ObservedEngine, ObservedPod
from tests.core.builders import NOW


def pod(uid: str, rank: int, **more: object) -> ObservedPod:
    plain = ObservedPod(
        name=f"c-t-0-{rank}",
        uid=uid,
        rank=rank,
        address=f"10.0.0.{rank}",
        ready=True,
        leaving=False,
        restarts=0,
        revision="r",
        unschedulable=None,
        failed=False,
        bound=True,
        created=None,
        grace=None,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def engine(*pods: ObservedPod, nodes: int = 2, leaving: bool = False) -> ObservedEngine:
    return ObservedEngine("c-t-0", "sts", "t", 0, "r", nodes, leaving, pods)


def known(gang: Gang) -> EngineStatus:
    """The gang as status remembers it."""
    return EngineStatus(
        name="c-t-0",
        revision="r",
        phase="Serving",
        restarts=gang.restarts,
        not_before=gang.not_before,
        members=gang.members,
    )


A, B = pod("a", 0), pod("b", 1)
FORMED = Gang(("a", "b"))


def check(subject: ObservedEngine, memory: Gang = FORMED, now: datetime = NOW) -> Gang:
    return check_gang(subject, known(memory), now)


def test_complete_gang_is_remembered() -> None:
    assert check_gang(engine(A, B), None, NOW) == FORMED
    assert check(engine(A, B)) == FORMED


@pytest.mark.parametrize("arrived", [(), (A,), (B,)])
def test_staggered_start_is_not_a_breakage(arrived: tuple[ObservedPod, ...]) -> None:
    assert check_gang(engine(*arrived), None, NOW) == Gang()


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ((A, pod("b", 1, restarts=1)), "a container of c-t-0-1 ended"),
        ((pod("a", 0, restarts=3), B), "a container of c-t-0-0 ended"),
        ((A, pod("b", 1, failed=True)), "a container of c-t-0-1 ended"),
        ((A, pod("new", 1)), "replaced or deleted"),
        ((pod("new", 0), B), "replaced or deleted"),
        ((A,), "replaced or deleted"),
        ((A, pod("b", 1, leaving=True)), "replaced or deleted"),
    ],
)
def test_broken_gang_is_restarted_whole_with_its_backoff_recorded(pods: tuple[ObservedPod, ...], why: str) -> None:
    result = check(engine(*pods))
    assert why in result.why
    assert {item.uid for item in result.pods_to_delete} == {item.uid for item in pods if not item.leaving}
    assert result.restarts == 1
    assert result.not_before == NOW + FIRST_BACKOFF


def test_crash_before_the_gang_was_complete_restarts_it_too() -> None:
    result = check(engine(pod("a", 0, restarts=1)), Gang())
    assert [item.uid for item in result.pods_to_delete] == ["a"]


def test_same_pods_seen_again_after_the_restart_are_not_restarted_again() -> None:
    """The cache may still show what was just deleted."""
    broken = engine(A, pod("b", 1, restarts=1))
    after = check(broken)
    again = check(broken, after, NOW + timedelta(seconds=1))
    assert again.pods_to_delete == ()
    assert again.why
    assert (again.restarts, again.not_before, again.members) == (after.restarts, after.not_before, after.members)


@pytest.mark.parametrize(
    "pods",
    [
        (),
        (pod("a", 0, leaving=True), pod("b", 1, leaving=True, restarts=1)),
        (pod("c", 0), pod("b", 1, leaving=True, restarts=1)),
        (pod("c", 0),),
        (pod("d", 1),),
    ],
)
def test_coming_back_is_not_a_breakage(pods: tuple[ObservedPod, ...]) -> None:
    after = check(engine(A, pod("b", 1, restarts=1)))
    result = check(engine(*pods), after, NOW + timedelta(seconds=3))
    assert (result.why, result.pods_to_delete) == ("", ())
    assert result.restarts == 1


def test_new_gang_takes_the_place_of_the_old_and_keeps_the_count() -> None:
    after = check(engine(A, pod("b", 1, restarts=1)))
    result = check(engine(pod("c", 0), pod("d", 1)), after, NOW + timedelta(seconds=3))
    assert result == Gang(("c", "d"), 1, after.not_before)


def test_half_done_restart_is_finished_after_the_backoff() -> None:
    """The operator died between two deletions: one new pod, one of the old gang."""
    after = check(engine(A, pod("b", 1, restarts=1)))
    mixed = engine(pod("c", 0), pod("b", 1, restarts=1))
    assert check(mixed, after, NOW + FIRST_BACKOFF - timedelta(seconds=1)).pods_to_delete == ()
    assert {item.uid for item in check(mixed, after, NOW + FIRST_BACKOFF).pods_to_delete} == {"c", "b"}


def test_half_done_restart_is_noticed_without_any_crash() -> None:
    """Three ranks, one replaced; the operator died after deleting the first. The one in the middle has a dead gang."""
    formed = Gang(("a", "b", "c"))
    broken = engine(A, B, pod("new", 2), nodes=3)
    after = check(broken, formed)
    assert {item.uid for item in after.pods_to_delete} == {"a", "b", "new"}
    half = engine(pod("d", 0), B, pod("new", 2), nodes=3)
    assert {item.uid for item in check(half, after, NOW + FIRST_BACKOFF).pods_to_delete} == {"d", "b", "new"}


def test_backoff_doubles_up_to_a_limit() -> None:
    memory, now, waits = FORMED, NOW, []
    for _ in range(8):
        memory = check(engine(A, pod("b", 1, restarts=1)), memory, now)
        assert memory.pods_to_delete
        assert memory.not_before is not None
        waits.append(memory.not_before - now)
        now = memory.not_before
    assert [wait / FIRST_BACKOFF for wait in waits[:5]] == [1, 2, 4, 8, 16]
    assert set(waits[5:]) == {LONGEST_BACKOFF}
    assert memory.restarts == 8


def test_long_good_run_is_forgiven() -> None:
    memory = Gang(("a", "b"), 6, NOW)
    broken = engine(A, pod("b", 1, restarts=1))
    assert check(broken, memory, NOW + FORGIVEN_AFTER).restarts == 7
    forgiven = check(broken, memory, NOW + FORGIVEN_AFTER + timedelta(seconds=1))
    assert forgiven.restarts == 1
    assert forgiven.not_before == NOW + FORGIVEN_AFTER + timedelta(seconds=1) + FIRST_BACKOFF


def test_single_node_engines_restart_in_place_by_themselves() -> None:
    alone = engine(pod("a", 0, restarts=5, failed=True), nodes=1)
    assert check(alone, Gang()) == Gang()


def test_engine_that_leaves_is_left_alone() -> None:
    assert check(engine(A, pod("b", 1, restarts=1), leaving=True)).pods_to_delete == ()


def test_engine_that_has_to_be_without_pods_is_not_broken_by_losing_them() -> None:
    assert check_gang(engine(A), known(FORMED), NOW, off=True) == FORMED


def test_gang_is_remembered_while_somebody_has_scaled_its_set_down() -> None:
    """Else the pod that comes back would pass for a member of the gang that lost it."""
    shrunk = check(engine(A, nodes=1))
    assert shrunk == FORMED
    assert check(engine(A, pod("new", 1)), shrunk).pods_to_delete
