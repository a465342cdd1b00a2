"""What `heterollm simulate` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from heterollm_controllers.api.v1alpha1.status import Decision
from heterollm_controllers.simulation.engine_model import EngineModel
from heterollm_controllers.simulation.run import START
from heterollm_controllers.simulation.source_tables import Row
from heterollm_controllers.simulation.summary import Summary
from heterollm_controllers.sizing.table import columns

__all__ = ["comparison", "decision_lines", "model_lines", "summary_lines", "table_lines"]

_MOST_DECISIONS = 60


def model_lines(models: Mapping[str, EngineModel]) -> list[str]:
    """The engines that were simulated."""
    head = ("tier", "GPUs", "requests/s", "at once", "first token, ms", "alone, s", "starts in, s", "$/h", "figures")
    rows = [
        (
            name,
            str(model.gpus),
            f"{model.rate:g}",
            str(model.concurrency),
            f"{1000 * model.first_token:g}",
            f"{model.lone_seconds:.2f}",
            f"{model.cold_start:g}",
            "unknown" if model.dollars_per_hour is None else f"{model.dollars_per_hour:g}",
            model.source,
        )
        for name, model in models.items()
    ]
    return [f"  {line}" for line in columns([head, *rows])]


def decision_lines(decisions: Sequence[Decision]) -> list[str]:
    """When, what, of which tier, from which figures."""
    if not decisions:
        return ["  none"]
    shown = decisions[:_MOST_DECISIONS]
    lines = [f"  {_clock(item.time)}  {item.subject}  {item.action}: {item.message}" for item in shown]
    hidden = len(decisions) - len(shown)
    return [*lines, f"  ... and {hidden} more; --json has them all"] if hidden else lines


def _clock(time: datetime) -> str:
    seconds = round((time - START).total_seconds())
    return f"{seconds // 3600:3d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def summary_lines(summary: Summary) -> list[str]:
    """What it came to."""
    wrong = summary.wrong
    lines = [
        f"requests   {summary.offered:,.0f} offered; {_share(summary.within_objective)} answered within the objective,"
        f" {summary.refused:,.0f} refused (429), {summary.failed:,.0f} failed",
        f"cost       {summary.gpu_hours:,.1f} GPU-hours, {_cost(summary)}",
        f"saving     {_saving(summary)}",
        f"decisions  {', '.join(f'{number} {name}' for name, number in summary.decisions.items()) or 'none'}",
        f"hindsight  {wrong.needless_raises} needless raises, {wrong.hasty_drops} hasty drops, {wrong.flips} flips,"
        f" {wrong.false_alarms} false alarms",
        f"fallback   {', '.join(f'{state} {seconds:,} s' for state, seconds in summary.seconds_in.items())}",
    ]
    head = ("tier", "answered", "within objective", "GPU-hours", "$", "engine-hours", "most engines", "longest queue")
    rows = [
        (
            tier.name,
            f"{tier.answered:,.0f}",
            _share(tier.within_objective),
            f"{tier.gpu_hours:,.1f}",
            _amount(tier.dollars),
            f"{tier.engine_hours:,.1f}",
            str(tier.peak_engines),
            f"{tier.peak_queue:,.0f}",
        )
        for tier in summary.tiers
    ]
    return [*lines, "", *columns([head, *rows])]


def _cost(summary: Summary) -> str:
    if summary.dollars is None:
        return "no dollars: a price is not known; set accelerator.dollarsPerHour"
    each = summary.dollars_per_1000
    return f"${summary.dollars:,.2f}" + ("" if each is None else f", ${each:.4f} per 1,000 answers")


def _saving(summary: Summary) -> str:
    if summary.saving is None or summary.counterfactual_dollars is None:
        return "unknown"
    return (
        f"{100 * summary.saving:.1f} % of ${summary.counterfactual_dollars:,.2f}: what full engines of the last tier"
        " would cost, as many as each hour's answers need, and 5 % more"
    )


def _amount(dollars: float | None) -> str:
    return "unknown" if dollars is None else f"{dollars:,.2f}"


def comparison(summaries: Mapping[str, Summary]) -> list[tuple[str, ...]]:
    """Rows of a table: one column for each way to decide."""
    rows: list[tuple[str, ...]] = [("", *summaries)]
    figures = {
        "within the objective": [_share(one.within_objective) for one in summaries.values()],
        "refused (429)": [f"{one.refused:,.0f}" for one in summaries.values()],
        "failed": [f"{one.failed:,.0f}" for one in summaries.values()],
        "GPU-hours": [f"{one.gpu_hours:,.1f}" for one in summaries.values()],
        "$": [_amount(one.dollars) for one in summaries.values()],
        "decisions": [str(sum(one.decisions.values())) for one in summaries.values()],
        "wrong ones": [str(one.wrong.total) for one in summaries.values()],
        "flips": [str(one.wrong.flips) for one in summaries.values()],
    }
    return rows + [(name, *values) for name, values in figures.items()]


def table_lines(rows: Sequence[Row]) -> list[str]:
    """The benchmarks of the source analysis beside what we get."""
    lines = ["The source's benchmarks, EMULATED from its figures per request (no engine ran)", ""]
    head = ("", "mix", "source", "reckoned", "emulated", "")
    body = [
        (row.what, row.mix, f"{row.source:g}", f"{row.reckoned:.4g}", f"{row.emulated:.4g}", row.unit) for row in rows
    ]
    lines += columns([head, *body])
    lines += ["", "from"]
    lines += [f"  {inputs}: {', '.join(row.what for row in group)}" for inputs, group in _by_inputs(rows)]
    return [*lines, "", "The clusters' mixes differ, so their capacities must not be quoted as of one."]


def _by_inputs(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(inputs, list(group)) for inputs, group in groupby(rows, key=lambda row: row.inputs)]


def _share(share: float) -> str:
    return f"{100 * share:.2f} %"
