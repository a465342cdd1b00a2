"""What is around the panels: variables, links between the dashboards, and decisions as annotations."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from helm.dashboards.panels import DATASOURCE
from helm.dashboards.selectors import of_operator

__all__ = ["PanelBuilder", "Section", "of_cluster", "of_fleet"]

_TAG = "heterollm"
_NAMESPACES = "label_values(heterollm_router_envoy_up, namespace)"
_CLUSTERS = 'label_values(heterollm_router_envoy_up{namespace="$namespace"}, heterollm_cluster)'

PanelBuilder = Builder[model.Panel]
Section = tuple[str, Sequence[PanelBuilder]]
"""The title of a row, and its panels."""


class _Decisions(model.AnnotationQuery):
    """Marks each decision at its time. What Prometheus' annotations take besides, the library does not know."""

    def to_json(self) -> dict[str, object]:
        return {
            **super().to_json(),
            "titleFormat": "{{action}}",
            "textFormat": "{{subject}}",
            "tagKeys": "action",
            "step": "30s",
            "useValueForTime": True,
        }


class _Built(Builder[model.AnnotationQuery]):
    def build(self) -> model.AnnotationQuery:
        times = f"1000 * max by (action, subject) ({of_operator('heterollm_decision_timestamp_seconds')})"
        return _Decisions(name="Decisions", datasource=DATASOURCE, enable=True, icon_color="blue", expr=times)


def of_fleet(uid: str, title: str, says: str, sections: Sequence[Section]) -> model.Dashboard:
    """A dashboard of all clusters in the namespaces chosen."""
    namespaces = _variable("namespace", "Namespace", _NAMESPACES).multi(True).include_all(True).all_value(".+")
    everything = model.VariableOption(text="All", value="$__all", selected=True)
    return _framed(uid, title, says, [namespaces.current(everything)], sections).build()


def of_cluster(uid: str, title: str, says: str, sections: Sequence[Section]) -> model.Dashboard:
    """A dashboard of one cluster, with its decisions."""
    variables = [_variable("namespace", "Namespace", _NAMESPACES), _variable("cluster", "Cluster", _CLUSTERS)]
    return _framed(uid, title, says, variables, sections).annotation(_Built()).build()


def _framed(
    uid: str, title: str, says: str, variables: Sequence[build.QueryVariable], sections: Sequence[Section]
) -> build.Dashboard:
    made = build.Dashboard(title).uid(uid).description(says).tags([_TAG]).time("now-6h", "now").refresh("30s")
    made.timezone("browser").tooltip(model.DashboardCursorSync.CROSSHAIR)
    made.with_variable(build.DatasourceVariable("datasource").id("datasource").label("Data source").type("prometheus"))
    for variable in variables:
        made.with_variable(variable)
    others = build.DashboardLink("HeteroLLM").type(model.DashboardLinkType.DASHBOARDS).tags([_TAG])
    made.link(others.as_dropdown(True).include_vars(True).keep_time(True))
    for name, panels in sections:
        made.with_row(build.Row(name))
        for panel in panels:
            made.with_panel(panel)
    return made


def _variable(name: str, label: str, query: str) -> build.QueryVariable:
    found = build.QueryVariable(name).id(name).label(label).datasource(DATASOURCE)
    found.query({"query": query, "refId": name}).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return found.sort(model.VariableSort.ALPHABETICAL_ASC)
