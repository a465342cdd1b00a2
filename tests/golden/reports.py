"""Reports of clusters whose figures are made up: the same content in both forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from heterollm_cli.reporting.charts import picture
from heterollm_cli.reporting.content import Subject, sections
from heterollm_cli.reporting.document import Document
from heterollm_cli.reporting.figures import Figures, Flow, Lines, Side
from heterollm_cli.reporting.markdown import markdown
from heterollm_cli.reporting.page import page
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus

__all__ = ["REPORTS", "figures", "subject"]

END = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BEGIN = END - timedelta(hours=2)
SPEC: dict[str, Any] = {
    "tiers": [
        {
            "name": "small",
            "model": {"id": "Qwen/Qwen3-4B"},
            "accelerator": {"type": "A100-80GB"},
            "replicas": {"min": 0, "max": 4},
        },
        {"name": "large", "model": {"id": "Qwen/Qwen3-235B-A22B"}, "accelerator": {"type": "A100-80GB"}},
    ],
    "migration": {"mode": "Auto"},
}
DECISIONS = (
    ("MigrationObserves", "spec.migration.mode is Observe; the last tier answers everything"),
    ("ScaledUp", "0 to 1 engines: this is of no concern here"),
    ("MigrationAdvances", "spec.migration.mode is Auto; the tiers get 10 % of their requests"),
    ("MigrationRollsBack", "Errors Failed: 14 of 470 failed | the limit is <1 %>; large answers everything"),
)


def status(state: str, percent: int) -> HeteroLLMClusterStatus:
    """A cluster that decided something every 20 minutes."""
    times = [(BEGIN + timedelta(minutes=20 * number)).isoformat() for number in range(len(DECISIONS))]
    gates = [
        {"name": "Errors", "state": "Undecided", "evidence": "2.5", "against": "0.2", "requestsNeeded": 1234}
        | {"expectedAt": END.isoformat(), "message": "0 of 230 failed, the limit is 1 %"}
    ]
    migration = {
        "mode": "Auto",
        "state": state,
        "percent": percent,
        "since": times[-1],
        "reason": DECISIONS[-1][0],
        "message": DECISIONS[-1][1],
        "updated": times[-1],
        "counted": times[-1],
        "gates": gates if percent else [],
    }
    decisions = [
        {"time": time, "action": action, "subject": "cluster", "message": message}
        for time, (action, message) in zip(times, DECISIONS, strict=True)
    ]
    return HeteroLLMClusterStatus.model_validate({"migration": migration, "decisions": decisions})


def figures(**more: Any) -> Figures:
    """Two hours, of which one is known."""
    values: dict[str, Any] = {
        "minutes": 60.0,
        "flows": [
            Flow("small", "small", "score", 200, False, 31_500),
            Flow("small", "large", "score", 200, True, 4_000),
            Flow("small", "large", "score", 200, False, 14),
            Flow("large", "large", "score", 200, False, 3_400),
            Flow("large", "large", "model", 200, False, 600),
            Flow("large", "large", "score", 503, False, 3),
            Flow("large", "large", "score", 429, False, 20),
        ],
        "sides": [
            Side("small", False, "ok", 15_000),
            Side("small", False, "slow", 12),
            Side("small", False, "whole", 16_488),
            Side("small", False, "failed", 14),
            Side("small", True, "whole", 4_000),
        ],
        "scores": [(0.0625, 35_000.0), (0.125, 35_500.0), (0.5, 35_510.0), (0.875, 35_600.0), (1.0, 38_900.0)],
        "tokens": {
            "small": {"prompt": 800_000.0, "completion": 100_000.0},
            "large": {"prompt": 600_000.0, "completion": 100_000.0},
        },
        "busiest": {"small": 25.0, "large": 2.5},
        "first_byte_p50": {"small": 40.0, "large": 180.0},
        "first_byte_p99": {"small": 95.0, "large": 420.0},
        "whole_p50": {"small": 90.0, "large": 1200.0},
        "whole_p99": {"small": 200.0, "large": 4000.0},
        "gpu_seconds": {"small": 3600.0, "large": 28_800.0},
        "dollars": {"small": 4.0, "large": 32.0},
        "engine_dollars": {"small": 4.0, "large": 32.0},
        "engine_rate": {"small": 18.0, "large": 3.0},
    }
    return Figures(**{**values, **more})


def subject(known: Figures | None, state: str = "Advancing", percent: int = 10) -> Subject:
    """The cluster `chat`."""
    spec = HeteroLLMClusterSpec.model_validate(SPEC)
    return Subject("chat", "shop", spec, status(state, percent), BEGIN, END, known)


def document(known: Figures | None, state: str, percent: int) -> Document:
    """With a point every ten minutes; nobody knows the first, and the picture begins with the second."""
    what = subject(known, state, percent)
    times = [BEGIN.timestamp() + 600 * number for number in range(13)]
    rising = [float("nan"), *(float(number) for number in range(1, 13))]
    over_time = {
        "answers": Lines({"small": rising, "large": rising[::-1]}),
        "share": Lines({"small": [8 * value for value in rising], "large": [100.0 * value for value in rising]}),
        "failed": Lines({"false": [value / 100 for value in rising], "true": [0 * value for value in rising]}),
        "dollars": Lines({}),
    }
    names = [tier.name for tier in what.spec.tiers]
    chart = picture(over_time, names, times, what.status.decisions, "shop/chat") if known is not None else ""
    return Document("shop/chat", sections(what), chart)


def _markdown(known: Figures | None, state: str, percent: int) -> str:
    return markdown(document(known, state, percent))


def _page(known: Figures | None, state: str, percent: int) -> str:
    return page(document(known, state, percent))


REPORTS: Mapping[str, Callable[[], str]] = {
    "report/advancing.md": partial(_markdown, figures(), "Advancing", 10),
    "report/advancing.html": partial(_page, figures(), "Advancing", 10),
    "report/observing.md": partial(_markdown, figures(dollars={"small": 4.0}), "Observing", 0),
    "report/status-only.md": partial(_markdown, None, "Advancing", 10),
}
