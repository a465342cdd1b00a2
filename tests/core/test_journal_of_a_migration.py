"""The journal keeps the latest decisions, and those of a migration for longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from heterollm_controllers.api.v1alpha1.status import Decision
from heterollm_controllers.status.decisions import JOURNAL_LENGTH, journal

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def decision(number: int, action: str) -> Decision:
    return Decision(time=BEGIN + timedelta(hours=number), action=action, subject="cluster", message=str(number))


def kept(*decisions: Decision) -> list[int]:
    """Numbers of those that stay when they are made one by one."""
    found: tuple[Decision, ...] = ()
    for item in decisions:
        found = journal(found, [item])
    return [int(item.message) for item in found]


def test_the_oldest_goes_first() -> None:
    assert kept(*(decision(number, "ScaledUp") for number in range(50))) == [*range(30, 50)]


def test_scaling_does_not_push_out_the_steps_of_a_migration() -> None:
    steps = [decision(number, "MigrationAdvances") for number in range(7)]
    assert kept(*steps, *(decision(number, "ScaledUp") for number in range(7, 500))) == [*range(7), *range(487, 500)]


def test_a_migration_leaves_room_for_others() -> None:
    mixed = [decision(number, "ScaledUp" if number % 2 else "MigrationHolds") for number in range(200)]
    found = kept(*mixed)
    assert found == sorted(found)
    assert len(found) == JOURNAL_LENGTH
    assert found[-4:] == [196, 197, 198, 199]
    assert sum(number % 2 for number in found) in (8, 9)


def test_a_migration_alone_may_fill_it() -> None:
    assert kept(*(decision(number, "MigrationHolds") for number in range(50))) == [*range(30, 50)]


def test_nothing_new_changes_nothing() -> None:
    full = tuple(decision(number, "MigrationHolds" if number < 15 else "ScaledUp") for number in range(20))
    assert journal(full, ()) == full
