"""What other thresholds of the scorer would do, and how many engines the tiers need."""

from __future__ import annotations

from heterollm_cli.reporting.document import Section, Table
from heterollm_cli.reporting.figures import Figures
from heterollm_cli.reporting.threshold import share_at, suggestion
from heterollm_cli.reporting.words import ABSENT, UNKNOWN, dollars
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.cost.saving import Demand, dollars_needed, engines_needed

__all__ = ["thresholds"]

_SHOWN = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Bounds of the scores' buckets, at which shares are exact."""


def thresholds(spec: HeteroLLMClusterSpec, figures: Figures) -> list[Section]:
    """The section of thresholds, if requests were scored, and that of sizes."""
    found = [_sizes(spec, figures)]
    if len(spec.tiers) > 1 and share_at(figures.scores, 0.5) is not None:
        found.insert(0, _thresholds(spec, figures))
    return found


def _thresholds(spec: HeteroLLMClusterSpec, figures: Figures) -> Section:
    first, last = spec.tiers[0].name, spec.tiers[-1].name
    present = float(spec.routing.complexity_threshold)
    wanted, why = suggestion(figures.scores, present)
    scored = sum(flow.count for flow in figures.flows if flow.decision == "score") / max(60.0, 60 * figures.minutes)
    rows: list[tuple[str, ...]] = []
    for threshold in sorted({*_SHOWN, present, wanted}):
        share = share_at(figures.scores, threshold) or 0.0
        demands = [
            Demand(scored * part, figures.engine_rate.get(name), figures.engine_dollars.get(name))
            for name, part in ((first, share), (last, 1 - share))
        ]
        bill = dollars_needed(demands)
        label = " (now)" if threshold == present else " (suggested)" if threshold == wanted else ""
        rows.append((f"{threshold:g}{label}", f"{100 * share:.1f} %", *(() if bill is None else (dollars(bill),))))
    verb = "Keep" if wanted == present else "Suggested:"
    sentences = (f'{verb} `routing.complexityThreshold: "{wanted:g}"`: {why}.',)
    head = ("threshold", f"of the scored requests to {first}", "dollars per hour of full engines")[: len(rows[0])]
    notes = ("How good the answers are is not in it: routers cannot see that. Try a change on a small share first.",)
    return Section("Suggested threshold", sentences, Table(head, tuple(rows)), notes)


def _sizes(spec: HeteroLLMClusterSpec, figures: Figures) -> Section:
    rows = []
    for tier in spec.engine_tiers:
        name, rate = tier.name, figures.engine_rate.get(tier.name)
        asked = sum(flow.count for flow in figures.flows if flow.wanted == name) / max(60.0, 60 * figures.minutes)
        busiest = max(figures.busiest.get(name, asked), asked)
        most = tier.replicas.max if tier.replicas is not None else None
        rows.append(
            (
                name,
                f"{asked:.3g}",
                f"{busiest:.3g}",
                UNKNOWN if not rate else f"{rate:g}",
                UNKNOWN if not rate else f"{engines_needed(asked, rate)}",
                UNKNOWN if not rate else f"{engines_needed(busiest, rate)}",
                ABSENT if most is None else str(most),
            )
        )
    head = (
        "tier",
        "requests/s meant for it",
        "in the busiest 5 minutes",
        "one engine does",
        "engines",
        "then",
        "replicas.max",
    )
    notes = (
        "Once each tier gets all of its requests. What one engine does is `engine.measured.requestsPerSecond`, else"
        " estimated; `heterollm size` shows how, and other accelerators (`--compare`).",
    )
    return Section("Suggested sizes", table=Table(head, tuple(rows)), notes=notes)
