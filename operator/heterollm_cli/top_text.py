"""What `heterollm top` prints: aligned columns that fit the terminal, and the last hour as bars."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

from heterollm_controllers.api.v1alpha1.migration_status import GateStatus, MigrationStatus
from heterollm_controllers.api.v1alpha1.status import Decision, FallbackStatus
from heterollm_controllers.view.cluster_view import ClusterView, TierRow
from heterollm_controllers.view.figures import Chart, Series
from heterollm_controllers.view.wording import UNKNOWN, ago, decimal, dollars, percent, rate

__all__ = ["cluster_lines", "fleet_lines"]

_BARS = "▁▂▃▄▅▆▇█"
_SHORTEST = 6
"""Characters that a name keeps at least when a table must be narrower."""
_DECISIONS = 8
_RED, _YELLOW, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
_COLOURS = {
    "Ready": _GREEN,
    "Reconciling": _YELLOW,
    "New": _YELLOW,
    "Deleting": _YELLOW,
    "NotReady": _RED,
    "Stalled": _RED,
    "Unreadable": _RED,
    "Escalated": _YELLOW,
    "PureLarge": _RED,
}


def fleet_lines(
    views: Sequence[ClusterView], width: int | None, colour: bool = False, *, with_namespaces: bool = True
) -> list[str]:
    """All clusters as a table, at most `width` characters wide (None: as wide as it is)."""
    if not views:
        return ["no HeteroLLMClusters"]
    head = ["NAME", "STATE", "TIERS", "ENGINES", "REQ/S", "FALLBACK", "$/H", "SAVING"]
    rows = [
        [
            view.name,
            view.state,
            str(len(view.tiers)),
            f"{view.serving}/{view.wanted}",
            rate(view.figures.requests_per_second),
            view.level,
            dollars(view.figures.dollars_per_hour),
            percent(view.saving),
        ]
        for view in views
    ]
    right = {"TIERS", "ENGINES", "REQ/S", "$/H", "SAVING"}
    names = {"NAME"}
    if with_namespaces:
        head, rows = ["NAMESPACE", *head], [[view.namespace, *row] for view, row in zip(views, rows, strict=True)]
        names.add("NAMESPACE")
    lines = _table(head, rows, right, names, width, colour)
    hints = [f"{view.namespace}/{view.name}: {view.why}" for view in views if view.state in ("Stalled", "Unreadable")]
    return [*lines, *([""] if hints else []), *(_fitting(hint, width) for hint in hints)]


def cluster_lines(view: ClusterView, now: datetime, width: int | None, colour: bool = False) -> list[str]:
    """One cluster: all that there is."""
    paragraphs = [
        _headline(view, now, colour),
        _tiers(view.tiers, width, colour),
        _figures(view),
        _charts(view.charts, width),
        _migration(view.migration, now),
        _decisions(view.decisions, now),
    ]
    lines = [line for paragraph in paragraphs if paragraph for line in ("", *paragraph)][1:]
    return [part for line in lines for part in _wrapped(line, width)]


def _headline(view: ClusterView, now: datetime, colour: bool) -> list[str]:
    lines = [
        f"{_clean(view.namespace)}/{_clean(view.name)}  {_coloured(view.state, view.state, colour)}",
        _clean(view.why),
    ]
    if view.url:
        lines.append(_clean(view.url))
    return lines + _fallback(view.fallback, view.level, now, colour)


def _fallback(fallback: FallbackStatus | None, level: str, now: datetime, colour: bool) -> list[str]:
    if fallback is None:
        return []
    dry = f" (dry run: {fallback.state})" if fallback.dry_run and fallback.state != "Normal" else ""
    line = f"fallback {_coloured(level, level, colour)}{dry} for {ago(fallback.since, now)}: {_clean(fallback.message)}"
    return [line] + [
        f"  {_clean(item.tier)}: {item.phase} at {item.percent} % for {ago(item.since, now)}"
        for item in fallback.escalations
    ]


def _tiers(tiers: Sequence[TierRow], width: int | None, colour: bool) -> list[str]:
    head = ["TIER", "ENGINES", "WEIGHT", "ANSWERS/S", "WAITING", "$/H", "SCALING"]
    rows = [
        [
            tier.name,
            "external" if tier.url else f"{tier.serving}/{tier.wanted}",
            f"{tier.traffic_weight} %",
            rate(tier.figures.answers_per_second),
            decimal(tier.figures.waiting),
            dollars(tier.figures.dollars_per_hour),
            tier.problem or tier.scaling or UNKNOWN,
        ]
        for tier in tiers
    ]
    right = {"ENGINES", "WEIGHT", "ANSWERS/S", "WAITING", "$/H"}
    lines = _table(head, rows, right, {"SCALING"}, width, colour)
    for tier in tiers:
        lines += [
            f"  {_clean(engine.name)}: {engine.phase}{': ' + _clean(engine.message) if engine.message else ''}"
            for engine in tier.engines
            if engine.phase != "Serving"
        ]
    return lines


def _figures(view: ClusterView) -> list[str]:
    figures = view.figures
    found = [
        ("requests per second", figures.requests_per_second, rate),
        ("failed", figures.failed_share, percent),
        ("refused (429)", figures.refused_share, percent),
        ("first byte, median ms", figures.first_byte_p50_ms, decimal),
        ("first byte, 99th percentile ms", figures.first_byte_p99_ms, decimal),
        ("dollars per hour", figures.dollars_per_hour, dollars),
        ("dollars per request", figures.dollars_per_request, dollars),
        ("dollars per million tokens", figures.dollars_per_million_tokens, dollars),
        ("saving of the last hour", view.saving, percent),
    ]
    lines = [f"{label:<32}{shown(value)}" for label, value, shown in found if value is not None]
    if view.saving is not None and figures.engines_otherwise is not None:
        lines[-1] += (
            f", against {decimal(figures.engines_otherwise)} engine(s) of the last tier for everything"
            f" ({dollars(figures.hourly_dollars_otherwise)} per hour)"
        )
    return lines


def _charts(charts: Sequence[Chart], width: int | None) -> list[str]:
    if not charts:
        return []
    longest = max(len(_label(chart, series)) for chart in charts for series in chart.series)
    # The newest minutes, where there is no room for all.
    room = 60 if width is None else max(10, min(60, width - longest - 18))
    lines = [f"last {room} minutes, and the last and the highest value"]
    for chart in charts:
        for series in chart.series:
            values = series.values[-room:]
            known = [value for value in values if value is not None]
            last = decimal(known[-1], 2) if known and values[-1] is not None else UNKNOWN
            most = decimal(max(known), 2) if known else UNKNOWN
            lines.append(f"{_label(chart, series):<{longest}}  {_bars(values)}{last:>8}{most:>8}".rstrip())
    return lines


def _label(chart: Chart, series: Series) -> str:
    return f"{chart.title} {_clean(series.label)}{', ' + chart.unit if chart.unit else ''}"


def _bars(values: Sequence[float | None]) -> str:
    most = max((value for value in values if value is not None), default=0.0)
    return "".join(
        " " if value is None else _BARS[round(value / most * (len(_BARS) - 1)) if most else 0] for value in values
    )


def _migration(migration: MigrationStatus | None, now: datetime) -> list[str]:
    if migration is None:
        return []
    lines = [
        f"migration {migration.state} at {migration.percent} % for {ago(migration.since, now)} (mode {migration.mode}):"
        f" {_clean(migration.message)}",
        f"  counted of this step: {migration.small.requests:,} requests, {migration.small.failed:,} failed;"
        f" last tier {migration.control.requests:,}, {migration.control.failed:,} failed",
    ]
    return lines + [f"  {_gate(gate, now)}" for gate in migration.gates]


def _gate(gate: GateStatus, now: datetime) -> str:
    parts = [f"gate {gate.name}: {gate.state}"]
    if gate.evidence is not None:
        parts.append(f"evidence {gate.evidence.text} (20 is enough)")
    if gate.requests_needed is not None:
        parts.append(f"{gate.requests_needed:,} more requests needed")
    if gate.expected_at is not None:
        parts.append(f"expected {ago(gate.expected_at, now)}" if gate.expected_at > now else "expected any moment")
    return f"{', '.join(parts)}; {_clean(gate.message)}"


def _decisions(decisions: Sequence[Decision], now: datetime) -> list[str]:
    if not decisions:
        return []
    return ["last decisions"] + [
        f"  {ago(item.time, now):>4}  {_clean(item.action)} {_clean(item.subject)}: {_clean(item.message)}"
        for item in decisions[:_DECISIONS]
    ]


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: set[str],
    flexible: set[str],
    width: int | None,
    colour: bool,
) -> list[str]:
    """Aligned columns; of those that are flexible, the longest are cut until the table is narrow enough."""
    cells = [list(head), *([_clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(head))]
    if width is not None:
        shrinking = [index for index, name in enumerate(head) if name in flexible]
        while sum(widths) + 2 * (len(widths) - 1) > width:
            longest = max(shrinking, key=lambda index: widths[index])
            if widths[longest] <= _SHORTEST:
                break
            widths[longest] -= 1
    lines = []
    for number, row in enumerate(cells):
        parts = []
        for name, cell, size in zip(head, row, widths, strict=True):
            cut = cell if len(cell) <= size else f"{cell[: size - 1]}…"
            padded = cut.rjust(size) if name in right else cut.ljust(size)
            parts.append(padded.replace(cut, _coloured(cut, cut, colour), 1) if number else padded)
        line = "  ".join(parts).rstrip()
        lines.append(f"{_BOLD}{line}{_PLAIN}" if colour and not number else line)
    return lines


def _coloured(text: str, word: str, colour: bool) -> str:
    return f"{_COLOURS[word]}{text}{_PLAIN}" if colour and word in _COLOURS else text


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None or len(line) <= width or "\x1b" in line:
        return [line]
    return textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False) or [""]


def _fitting(text: str, width: int | None) -> str:
    text = _clean(text)
    return text if width is None or len(text) <= width else f"{text[: width - 1]}…"


def _clean(text: str) -> str:
    """What others wrote must not steer the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
