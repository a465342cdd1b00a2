"""Clusters and figures to look at: the recorded statuses of tests/golden, with what they leave out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from heterollm_controllers.view.figures import Chart, ClusterFigures, Series, TierFigures

__all__ = ["NOW", "RECORDED", "chart", "cluster", "figures"]

_STATUSES = Path(__file__).parents[1] / "golden" / "expected" / "status"
RECORDED = sorted(file.stem for file in _STATUSES.glob("*.yaml"))
NOW = datetime(2026, 1, 1, 13, 0, 0, tzinfo=UTC)
"""An hour after most of what they report."""


def cluster(recorded: str, name: str = "demo", namespace: str = "team", **status: Any) -> dict[str, Any]:
    """A cluster whose status was recorded under this name, with other fields of the status put in."""
    found = json.loads(_recorded(recorded))
    found["routing"] = {**found["routing"], "policyDigest": "0123456789abcdef"}
    tiers = [{"name": tier["name"]} for tier in found["tiers"]]
    return {
        "metadata": {"namespace": namespace, "name": name, "generation": found["observedGeneration"]},
        "spec": {"tiers": tiers},
        "status": {**found, **status},
    }


@cache
def _recorded(name: str) -> str:
    return json.dumps(yaml.safe_load((_STATUSES / f"{name}.yaml").read_text()))


def figures(**more: Any) -> ClusterFigures:
    """Of a cluster with two tiers that is asked something."""
    tiers = {
        "small": TierFigures(answers_per_second=38.4, waiting=3, dollars_per_hour=3.7),
        "large": TierFigures(answers_per_second=4.1, waiting=0, dollars_per_hour=128),
    }
    known = {
        "requests_per_second": 42.5,
        "failed_share": 0.0004,
        "refused_share": 0.0,
        "first_byte_p50_ms": 38.0,
        "first_byte_p99_ms": 212.5,
        "dollars_per_hour": 131.7,
        "dollars_per_request": 0.00086,
        "dollars_per_million_tokens": 0.62,
        "hourly_dollars": 131.7,
        "hourly_dollars_otherwise": 384.0,
        "engines_otherwise": 3.0,
        "tiers": tiers,
    }
    return ClusterFigures(**{**known, **more})


def chart(**series: Any) -> Chart:
    """An hour until NOW."""
    lines = tuple(Series(label=label, values=tuple(values)) for label, values in series.items())
    return Chart(title="Answers", unit="/s", start=NOW - timedelta(minutes=59), series=lines)
