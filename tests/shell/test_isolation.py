"""Which namespaces are asked about together after queries failed."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from heterollm_operator.prometheus.tenant_isolation import EVERYTHING, Group, Isolation

NAMESPACES = [f"team-{number}" for number in range(64)]


def tick(isolation: Isolation, faulty: Collection[str], now: float, *, whole: bool = True) -> list[Group]:
    """One tick in which queries fail that are about a faulty namespace; the groups that were answered."""
    groups = isolation.groups(NAMESPACES, now)
    failed = [group for group in groups if (group or set(NAMESPACES) | {"stranger"}) & set(faulty)]
    isolation.learn(NAMESPACES, failed, now, whole=whole)
    return [group for group in groups if group not in failed]


def test_all_are_asked_together_as_long_as_all_are_answered() -> None:
    isolation = Isolation()
    for now in range(0, 100, 5):
        assert tick(isolation, [], now) == [EVERYTHING]


@pytest.mark.parametrize("faulty", [["team-7"], ["team-0", "team-63"], NAMESPACES[5:13]])
def test_those_at_fault_are_alone_after_as_many_ticks_as_there_are_halvings(faulty: list[str]) -> None:
    isolation = Isolation()
    for now in range(0, 35, 5):
        tick(isolation, faulty, now)
    answered = frozenset[str]().union(*tick(isolation, faulty, 35))
    assert answered == frozenset(NAMESPACES).difference(faulty)
    assert len(isolation.groups(NAMESPACES, 40)) == 1 + len(faulty)


def test_who_is_answered_again_joins_the_others() -> None:
    isolation = Isolation()
    for now in range(0, 40, 5):
        tick(isolation, ["team-7"], now)
    assert tick(isolation, [], 40) == [frozenset(NAMESPACES) - {"team-7"}, {"team-7"}]
    assert tick(isolation, [], 45) == [frozenset(NAMESPACES)]
    assert tick(isolation, [], 1000) == [EVERYTHING]


def test_without_all_queries_nobody_is_cleared() -> None:
    isolation = Isolation()
    for now in range(0, 40, 5):
        tick(isolation, ["team-7"], now)
    tick(isolation, [], 40, whole=False)
    assert isolation.suspects == [{"team-7"}]


def test_a_namespace_without_clusters_is_left_out() -> None:
    isolation = Isolation()
    assert tick(isolation, ["stranger"], 0) == []
    for now in range(5, 600, 5):
        assert tick(isolation, ["stranger"], now) != []


def test_if_everything_fails_the_queries_do_not_multiply() -> None:
    isolation = Isolation()
    for now in range(0, 300, 5):
        assert len(isolation.groups(NAMESPACES, now)) <= 17
        tick(isolation, [*NAMESPACES, "stranger"], now)


def test_namespaces_come_and_go() -> None:
    isolation = Isolation()
    for now in range(0, 40, 5):
        tick(isolation, ["team-7"], now)
    assert isolation.groups(["team-7", "new"], 40) == [{"new"}, {"team-7"}]
    assert isolation.groups(["new"], 45) == [{"new"}]
