"""One migration: the share in force, what its gates say, and both sides beside each other."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from helm.dashboards.cluster import level
from helm.dashboards.frame import PanelBuilder, of_cluster
from helm.dashboards.panels import Query, figure, lines, note, states
from helm.dashboards.selectors import OF_PODS, OF_RECORDED, of_operator
from helm.dashboards.words import GATES, LEVELS, MIGRATIONS, numbered

__all__ = ["migration"]

_GATE = "{{gate}}"

_SIDES = """\
**tiers**: requests that the tiers themselves were to answer. **last tier**: those of the same kind that the last one
was to answer in their place. Which conversation is on which side is drawn by hash, at the same time and from the same
clients, so that the two may be compared.

A gate passes when the requests speak **20 to one** for its limit being kept. It fails when they speak 20 to one against
it and the tiers are worse than the last one. What gates say is written at decisions and once an hour; the sides below
are live."""


def migration() -> Dashboard:
    """The dashboard."""
    return of_cluster(
        "heterollm-migration",
        "HeteroLLM / Migration",
        "A migration step by step: the share in force, the evidence of its gates, and both sides beside each other.",
        [("Now", _now()), ("Gates", _gates()), ("Both sides", _both_sides())],
    )


def _state() -> str:
    series = [of_operator("heterollm_migration_state", f'state="{word}"') for word, _ in MIGRATIONS.values()]
    return numbered(series, "")


def _now() -> list[PanelBuilder]:
    needed = of_operator("heterollm_migration_gate_requests_needed")
    return [
        figure("State", "Of the migration.", "none", _state(), words=MIGRATIONS),
        figure(
            "Share in force",
            "Of the requests wanted of the tiers, what they are to get; the last tier answers the rest.",
            "percent",
            f"max({of_operator('heterollm_migration_percent')})",
        ),
        figure(
            "Requests still needed",
            "Until the gate that needs most passes, if they go on like this; as of the time beside it.",
            "short",
            f"max({needed})",
        ),
        figure(
            "Gates written",
            "How long ago: at decisions, and once an hour.",
            "s",
            f"time() - max({of_operator('heterollm_migration_updated_timestamp_seconds')})",
        ),
        figure("Fallback", "While it is not Normal, nothing is counted.", "none", level(), words=LEVELS),
        figure(
            "Saved",
            "Share of what the last tier would cost if it answered everything, of the last hour. Below 100 %"
            " the gate goes by a projection instead, as the bill rises first.",
            "percentunit",
            f"heterollm:saving:ratio1h{{{OF_RECORDED}}}",
            steps=[(None, "red"), (0, "green")],
        ),
        lines(
            "Share in force",
            "By step, in per cent.",
            "percent",
            Query(f"max({of_operator('heterollm_migration_percent')})", "share"),
            span=24,
        ),
        states("State", "Of the migration.", MIGRATIONS, Query(_state(), "migration")),
    ]


def _gates() -> list[PanelBuilder]:
    series = [of_operator("heterollm_migration_gate_state", f'state="{word}"') for word, _ in GATES.values()]
    figures = {
        name: f"max by (gate) ({of_operator(f'heterollm_migration_gate_{name}')})"
        for name in ("evidence", "against", "requests_needed")
    }
    return [
        states("Gates", "What each says.", GATES, Query(numbered(series, "gate"), _GATE)),
        lines(
            "Evidence",
            "How many to one the requests of this step speak for the limit being kept: 20 is enough.",
            "none",
            Query(figures["evidence"], _GATE),
            steps=[(None, "text"), (20, "green")],
            log=True,
            span=8,
        ),
        lines(
            "Evidence against",
            "How many to one they speak against it.",
            "none",
            Query(figures["against"], _GATE),
            steps=[(None, "text"), (20, "red")],
            log=True,
            span=8,
        ),
        lines(
            "Requests still needed",
            "Until a gate passes, if they go on like this. Absent where it has passed, or never would.",
            "short",
            Query(figures["requests_needed"], _GATE),
            span=8,
        ),
    ]


def _sides(outcomes: str) -> str:
    """Requests per second with one of these outcomes, by side; not those wanted of the last tier itself."""
    counted = f'rate(heterollm_router_side_total{{{OF_PODS}, outcome=~"{outcomes}"}}[$__rate_interval])'
    last = (
        f'label_replace(heterollm_tier:last:max{{{OF_RECORDED}}} == 1, "wanted_tier", "$1", "heterollm_tier", "(.+)")'
    )
    side = f"sum by (diverted) ({counted} unless on (wanted_tier) {last})"
    named = f'label_replace({side}, "side", "tiers", "diverted", "false")'
    return f'label_replace({named}, "side", "last tier", "diverted", "true")'


def _share(outcomes: str, of: str) -> str:
    """Zero where a side has none: Envoy shows a counter only once it is used."""
    return f"({_sides(outcomes)} or 0 * {_sides(of)}) / ({_sides(of)} > 0)"


def _both_sides() -> list[PanelBuilder]:
    side = "{{side}}"
    return [
        note("What is compared", _SIDES, height=6),
        lines("Requests", "Per second that were counted.", "reqps", Query(_sides(".+"), side), span=8),
        lines(
            "Failed",
            "Share that nobody answered, or another tier than was to. By default the limit is 0.1 %.",
            "percentunit",
            Query(_share("failed", ".+"), side),
            span=8,
        ),
        lines(
            "Slow",
            "Share of streamed answers that began later than gates.firstByteMs. The limit is 1 %.",
            "percentunit",
            Query(_share("slow", "ok|slow"), side),
            steps=[(None, "text"), (0.01, "red")],
            span=8,
        ),
    ]
