"""What a report says: from the cluster as it is and the figures of a period. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from heterollm_cli.reporting.document import Section, Table
from heterollm_cli.reporting.figures import Figures, Flow
from heterollm_cli.reporting.money import money
from heterollm_cli.reporting.scores import thresholds
from heterollm_cli.reporting.steps import gates, steps
from heterollm_cli.reporting.words import ABSENT, count, milliseconds, per_cent
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus

__all__ = ["Subject", "sections"]


@dataclass(frozen=True)
class Subject:
    """What the report is about.

    Attributes:
        figures: of the period; None if no Prometheus was named.
    """

    name: str
    namespace: str
    spec: HeteroLLMClusterSpec
    status: HeteroLLMClusterStatus
    begin: datetime
    end: datetime
    figures: Figures | None


def sections(subject: Subject) -> tuple[Section, ...]:
    """All of them, in their order; those of which nothing is known are left out."""
    found: list[Section | None] = [_summary(subject)]
    if (figures := subject.figures) is not None and figures.flows:
        names = _names(subject.spec, figures)
        observes = subject.status.migration is not None and subject.status.migration.state == "Observing"
        found += [_answers(names, figures), _wanted(names, figures, observes=observes)]
        found += [_sides(names, figures), money(subject.spec, figures), *thresholds(subject.spec, figures)]
    found += [steps(subject.status), gates(subject.status)]
    return tuple(section for section in found if section is not None)


def _names(spec: HeteroLLMClusterSpec, figures: Figures) -> list[str]:
    """Tiers of the spec, cheapest first, and those that have answered before they were removed."""
    names = [tier.name for tier in spec.tiers]
    return names + sorted({flow.tier for flow in figures.flows if flow.tier and flow.tier not in names})


def _summary(subject: Subject) -> Section:
    figures, migration = subject.figures, subject.status.migration
    sentences = [f"From {_time(subject.begin)} to {_time(subject.end)} UTC."]
    if figures is None:
        sentences.append("No Prometheus was named (`--prometheus`): only what is in the cluster's status is here.")
    elif not figures.flows:
        sentences.append(
            "Prometheus knows no request of this cluster in this time: nobody asked, or its routers are not scraped."
        )
    else:
        whole, answered = _sum(figures.flows), _sum(flow for flow in figures.flows if flow.answered)
        failed = _sum(flow for flow in figures.flows if flow.failed)
        refused = _sum(flow for flow in figures.flows if flow.code == 429)
        sentences.append(
            f"{count(whole)} requests: {count(answered)} answered, {count(failed)} failed ({per_cent(failed, whole)}),"
            f" {count(refused)} refused for want of room (429). Prometheus knows {figures.minutes:.0f} minutes of it."
        )
    if migration is None:
        sentences.append("The cluster does not migrate (`spec.migration` is absent).")
    else:
        sentences.append(
            f"Migration: {migration.state}, the tiers get {migration.percent} % of their requests since"
            f" {_time(migration.since)}: {migration.message}."
        )
    return Section("Summary", tuple(sentences))


def _answers(names: Sequence[str], figures: Figures) -> Section:
    whole = _sum(flow for flow in figures.flows if flow.answered)
    rows = []
    for name in names:
        own = [flow for flow in figures.flows if flow.tier == name]
        answered = _sum(flow for flow in own if flow.answered)
        rows.append(
            (
                name,
                count(answered),
                per_cent(answered, whole),
                count(_sum(flow for flow in own if flow.failed)),
                milliseconds(figures.first_byte_p50.get(name)),
                milliseconds(figures.first_byte_p99.get(name)),
                milliseconds(figures.whole_p50.get(name)),
                milliseconds(figures.whole_p99.get(name)),
                count(sum(figures.tokens[name].values())) if name in figures.tokens else ABSENT,
            )
        )
    times = ("first byte, ms: half within", "99 % within", "last byte, ms: half within", "99 % within")
    head = ("tier", "answers", "share", "failed", *times, "tokens")
    notes = (
        "By the tier that answered. The first byte of an answer in one piece comes when the answer is complete."
        " Times are read from buckets, and so are near the truth only.",
    )
    return Section("Who answered", table=Table(head, tuple(rows)), notes=notes)


def _wanted(names: Sequence[str], figures: Figures, *, observes: bool) -> Section:
    last, rows = names[-1], []
    kinds = sorted({(flow.wanted, flow.decision) for flow in figures.flows}, key=lambda kind: (kind[0] == last, kind))
    whole = _sum(figures.flows)
    for wanted, decision in kinds:
        flows = [flow for flow in figures.flows if (flow.wanted, flow.decision) == (wanted, decision)]
        answered = [flow for flow in flows if flow.answered]
        rows.append(
            (
                wanted or "none",
                decision or "none",
                count(_sum(flows)),
                per_cent(_sum(flows), whole),
                count(_sum(flow for flow in answered if flow.tier == wanted)),
                count(_sum(flow for flow in answered if flow.tier != wanted and flow.diverted)),
                count(_sum(flow for flow in answered if flow.tier != wanted and not flow.diverted)),
                count(_sum(flow for flow in flows if flow.failed)),
            )
        )
    head = ("tier", "chosen by", "requests", "share", "it answered", "another, in its place", "another, as it failed")
    title = "What would go where" if observes else "What goes where"
    sentences = ("The last tier answers everything; this is what the scorer decided on paper.",) if observes else ()
    notes = (
        "`score`: the scorer chose for `model: auto`; `model`, `hint`, `header`: the client did."
        " Routers do not count by task (system prompt and tools), so that there is no table by task.",
    )
    return Section(title, sentences, Table((*head, "failed"), tuple(rows)), notes)


def _sides(names: Sequence[str], figures: Figures) -> Section | None:
    """What happened to the requests for a tier, on both sides of a migration."""
    rows = []
    for wanted in names[:-1]:
        for diverted in (False, True):
            found = {
                side.outcome: side.count for side in figures.sides if (side.wanted, side.diverted) == (wanted, diverted)
            }
            whole = sum(found.values())
            if not whole:
                continue
            failed, slow = found.get("failed", 0.0), found.get("slow", 0.0)
            streamed = found.get("ok", 0.0) + slow
            by = "the last tier, in its place" if diverted else "itself"
            shares = (count(failed), per_cent(failed, whole), count(streamed), count(slow), per_cent(slow, streamed))
            rows.append((wanted, by, count(whole), *shares))
    if not rows:
        return None
    head = ("requests for", "answered by", "requests", "failed", "of these", "streamed", "slow", "of these")
    notes = (
        "Over the whole period, all steps and rollbacks together; the gates count each step by itself."
        " Failed: another tier had to answer, or nobody did. Slow: later than `gates.firstByteMs`.",
    )
    return Section("Side against side", table=Table(head, tuple(rows)), notes=notes)


def _sum(flows: Iterable[Flow]) -> float:
    return sum(flow.count for flow in flows)


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
