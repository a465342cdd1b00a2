"""What a migration has decided, and what its gates say now."""

from __future__ import annotations

from heterollm_cli.reporting.document import Section, Table
from heterollm_cli.reporting.words import ABSENT, count
from heterollm_controllers.api.v1alpha1.status import Decision, HeteroLLMClusterStatus
from heterollm_controllers.api.vocabulary import Reason

__all__ = ["gates", "is_of_migration", "steps"]

_OTHERS = frozenset({Reason.TIER_ESCALATED, Reason.TIER_RECOVERED, Reason.PURE_LARGE, Reason.FALLBACK_NORMAL})
"""Decisions of the fallback that hold a migration, or let it go on."""


def is_of_migration(decision: Decision) -> bool:
    """Whether it is about the migration, or about what holds it."""
    return decision.action.startswith("Migration") or decision.action in _OTHERS


def steps(status: HeteroLLMClusterStatus) -> Section | None:
    """Each decision with its figures: what changed, and why it went on or not."""
    if status.migration is None:
        return None
    rows = tuple(
        (f"{item.time:%Y-%m-%d %H:%M:%S}", item.action, item.message)
        for item in status.decisions
        if is_of_migration(item)
    )
    notes = (
        "As far back as status keeps decisions: the latest twelve of the migration at least. All are Events too, which"
        " Kubernetes forgets after an hour.",
    )
    return Section("Step by step", table=Table(("UTC", "decision", "from which figures"), rows), notes=notes)


def gates(status: HeteroLLMClusterStatus) -> Section | None:
    """The gates of the step, as last written."""
    migration = status.migration
    if migration is None or not migration.gates:
        return None
    rows = tuple(
        (
            gate.name,
            gate.state,
            ABSENT if gate.evidence is None else gate.evidence.text,
            ABSENT if gate.against is None else gate.against.text,
            ABSENT if gate.requests_needed is None else count(gate.requests_needed),
            ABSENT if gate.expected_at is None else f"{gate.expected_at:%Y-%m-%d %H:%M}",
            gate.message,
        )
        for gate in migration.gates
    )
    head = ("gate", "state", "for it, to one", "against it", "requests needed", "expected", "figures")
    sentence = (
        f"As of {migration.updated:%Y-%m-%d %H:%M:%S} UTC; at 20 to one it is acted upon."
        f" Minutes of the step that are left out, as Prometheus knew nothing of them: {migration.missing_minutes}."
    )
    return Section("Gates", (sentence,), Table(head, rows))
