"""Panels of our dashboards: what all of them have in common is said here once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

__all__ = ["DATASOURCE", "Color", "Query", "Steps", "figure", "lines", "note", "rows", "states"]

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whichever the reader chooses."""

Color = str
Steps = Sequence[tuple[float | None, Color]]
"""From which value on which color; None for the lowest."""

_HEIGHT, _LOW = 8, 4
_P = TypeVar("_P", timeseries.Panel, stat.Panel, statetimeline.Panel, table.Panel)


@dataclass(frozen=True)
class Query:
    """What is asked, and how its lines are called: a text, with labels in double braces."""

    expr: str
    legend: str


def lines(
    title: str,
    says: str,
    unit: str,
    *queries: Query,
    steps: Steps = (),
    stacked: bool = False,
    log: bool = False,
    span: int = 12,
) -> timeseries.Panel:
    """A course over time. `steps` are drawn as dashed lines."""
    panel = timeseries.Panel().height(_HEIGHT).line_width(1).fill_opacity(30 if stacked else 5).show_points(_NEVER)
    # A gap shows that nobody knows; a course that drops to zero would say something else.
    panel.span_nulls(False).legend(_legend()).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if not log:
        panel.axis_soft_min(0)
    else:
        panel.scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10))
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if steps:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
    return _asked(panel, title, says, unit, queries, steps, span)


def figure(
    title: str,
    says: str,
    unit: str,
    query: str,
    *,
    steps: Steps = (),
    words: Mapping[int, tuple[str, Color]] | None = None,
    span: int = 4,
) -> stat.Panel:
    """One value, as it is now. `words`: what to say in place of a value, and in which color."""
    panel = stat.Panel().height(_LOW).graph_mode(BigValueGraphMode.NONE).no_value("nobody knows")
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if words:
        panel.mappings([_mapping(words)])
    return _asked(panel, title, says, unit, [Query(query, title)], steps, span)


def states(
    title: str, says: str, words: Mapping[int, tuple[str, Color]], *queries: Query, span: int = 24
) -> statetimeline.Panel:
    """Which of several states things were in over time."""
    panel = statetimeline.Panel().height(5).show_value(VisibilityMode.AUTO).mappings([_mapping(words)])
    panel.legend(common.VizLegendOptions().show_legend(False))
    return _asked(panel, title, says, "none", queries, [(None, "text")], span)


def rows(title: str, says: str, columns: Mapping[str, tuple[str, str]], hidden: Sequence[str]) -> table.Panel:
    """A table of what is so now, joined by labels. `columns`: by title the query and the unit."""
    panel = table.Panel().title(title).description(says).datasource(DATASOURCE).height(_HEIGHT).span(24)
    panel.show_header(True)
    names = {}
    for number, (name, (expr, unit)) in enumerate(columns.items()):
        reference = chr(ord("A") + number)
        names[f"Value #{reference}"] = name
        query = prometheus.Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE).ref_id(reference)
        panel.with_target(query.datasource(DATASOURCE))
        panel.override_by_name(name, [_property("unit", unit)])
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    shown = {"excludeByName": dict.fromkeys(hidden, True), "renameByName": {**_COLUMNS, **names}, "indexByName": {}}
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=shown))


def note(title: str, markdown: str, span: int = 24, height: int = 5) -> text.Panel:
    """Words that the reader of the panels beside it needs."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).height(height).span(span)


_NEVER = VisibilityMode.NEVER
_COLUMNS = {"heterollm_namespace": "namespace", "heterollm_cluster": "cluster"}


def _property(name: str, value: object) -> DynamicConfigValue:
    return DynamicConfigValue(id_val=name, value=value)


def _legend() -> common.VizLegendOptions:
    shown = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    return shown.placement(LegendPlacement.BOTTOM)


def _mapping(words: Mapping[int, tuple[str, Color]]) -> ValueMap:
    return ValueMap(
        options={
            str(value): ValueMappingResult(text=word, color=color, index=index)
            for index, (value, (word, color)) in enumerate(words.items())
        }
    )


def _asked(panel: _P, title: str, says: str, unit: str, queries: Sequence[Query], steps: Steps, span: int) -> _P:
    panel.title(title).description(says).unit(unit).datasource(DATASOURCE).span(span)
    limits = [Threshold(value=value, color=color) for value, color in steps or [(None, "text")]]
    panel.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(limits))
    for number, query in enumerate(queries):
        asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).range()
        panel.with_target(asked.ref_id(chr(ord("A") + number)).datasource(DATASOURCE))
    return panel
