"""The dashboards that the chart ships, and what their panels ask of Prometheus."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EMPTY", "Asked", "asked", "dashboards"]

EMPTY = {
    ("heterollm-cluster", "GPU use"): "simulated engines have no GPUs for NVIDIA's DCGM exporter to see",
    ("heterollm-cluster", "Consistency"): "no release samples requests yet",
    ("heterollm-cost", "Dollars per hour by client"): "the cluster of the scenario has no API keys",
}
"""Panels that show nothing in the steering scenario, and why; no others may."""

_FOLDER = Path(__file__).parents[2] / "helm" / "heterollm" / "files" / "dashboards"
_NOT_METRICS = re.compile(r'"[^"]*"|\[[^\]]*\]|\b(?:by|on|group_left|group_right|ignoring)\s*\([^)]*\)|\{[^}]*\}')
_METRIC = re.compile(r"\b([A-Za-z_][A-Za-z0-9_:]*)\b(?!\s*\()")
_WORDS = {"or", "and", "unless", "by", "on", "bool", "offset"}


@dataclass(frozen=True)
class Asked:
    """One query of a panel, or of the decisions' marks.

    Attributes:
        number: which of its panel's queries it is, from 0 on.
        instant: whether only the value of now is asked for.
    """

    dashboard: str
    panel: str
    number: int
    text: str
    instant: bool = False

    def filled(self, namespace: str, cluster: str, span: str) -> str:
        """As Grafana sends it, for a reader who has chosen these; `span` is the time shown, as in 1h."""
        values = {"__rate_interval": "1m", "__range": span, "namespace": namespace, "cluster": cluster}
        return re.sub(r"\$(__rate_interval|__range|namespace|cluster)\b", lambda found: values[found[1]], self.text)

    def metrics(self) -> set[str]:
        """Names of the series that are asked for."""
        # A selector without its labels, so that these are not taken for metrics.
        bare = _NOT_METRICS.sub(" ", re.sub(r'"[^"]*"', '""', self.text))
        return {name for name in _METRIC.findall(bare) if name not in _WORDS}


def dashboards() -> list[dict[str, Any]]:
    """All of them, as committed."""
    return [json.loads(path.read_text()) for path in sorted(_FOLDER.glob("*.json"))]


def asked() -> list[Asked]:
    """Every query of every dashboard."""
    found = []
    for board in dashboards():
        for panel in board["panels"]:
            for number, target in enumerate(panel.get("targets") or []):
                instant = target.get("instant", False)
                found.append(Asked(board["uid"], panel["title"], number, target["expr"], instant))
        found += [Asked(board["uid"], mark["name"], 0, mark["expr"]) for mark in board["annotations"].get("list", [])]
    return found
