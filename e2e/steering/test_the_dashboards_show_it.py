"""Every panel of every dashboard shows something of a real cluster that migrates, by a real Prometheus."""

from __future__ import annotations

import time
from typing import Any

import pytest

from e2e.chat import stream
from e2e.monitoring.dashboards import EMPTY, asked
from e2e.monitoring.start import Monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import StackError, wait_until
from e2e.steering.crowd import Crowd
from e2e.steering.manifest import steered_sample
from e2e.steering.steps import decided, figures_are_there, set_faults
from e2e.steering.timeline import Journal

_STEP_SECONDS = 5.0


def migrating_sample() -> dict[str, Any]:
    """The steered cluster, half of whose small requests go to the small tier; what its engines do is told."""
    manifest = steered_sample()
    for tier, rate in zip(manifest["spec"]["tiers"], ("40", "8"), strict=True):
        tier["engine"]["measured"] = {"requestsPerSecond": rate}
    manifest["spec"]["migration"] = {"mode": "Auto", "steps": [50, 100], "stepSeconds": 86400}
    return manifest


def test_every_panel_shows_something(chat: ChatCluster, monitoring: Monitoring) -> None:
    began = time.time()
    with Journal(chat) as journal, Crowd(chat.url, "small") as crowd:
        crowd.resize(10)
        wait_until(lambda: figures_are_there(chat), 60, lambda: f"no figures: {chat.get()['status']['conditions']}")
        chat.apply(migrating_sample())
        decided(journal, "MigrationAdvances", "cluster", 1, 120)
        # Some attempts fail, and some answers are streamed: those have a share of slow ones.
        set_faults(chat, error_rate=0.2)
        for number in range(40):
            answer, pieces = stream(chat.url, f"Stream {number}", "small", max_tokens=4)
            assert list(pieces), answer
        set_faults(chat)
        try:
            wait_until(lambda: not without_data(monitoring, began), 180, lambda: "some are empty")
        except StackError:
            assert without_data(monitoring, began) == {}


def without_data(monitoring: Monitoring, began: float) -> dict[str, str]:
    """Queries of panels that give nothing, or no numbers, by their panel; those of EMPTY are left out."""
    empty = {}
    for item in asked():
        if (item.dashboard, item.panel) not in EMPTY:
            query = item.filled("default", "chat", "1h")
            points = monitoring.series(query, began, time.time(), _STEP_SECONDS)
            if not any(value == value for _, value in points):
                empty[f"{item.dashboard}: {item.panel} ({item.number})"] = query
    return empty


@pytest.fixture(autouse=True)
def as_before(chat: ChatCluster) -> Any:
    """Other scenarios find the cluster without a migration, and its engines without faults."""
    yield
    set_faults(chat)
    chat.apply(steered_sample())
