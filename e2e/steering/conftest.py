"""The embedded cluster with the operator, a real Prometheus and Alertmanager, and a chat cluster that is steered."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.cache import print_report
from e2e.cluster.node.down import down
from e2e.cluster.node.layout import Layout
from e2e.monitoring.rules import rule_groups
from e2e.monitoring.start import SCRAPE_SECONDS, Monitoring, start_monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import Stack
from e2e.steering.manifest import steered_sample
from e2e.steering.moments import picture

# Images loaded by the other scenarios are found again.
NAME = "scenarios"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A cluster whose operator knows the Prometheus that `monitoring` starts; nothing of it is left afterwards."""
    layout = Layout(NAME)
    down(layout, print_report)
    try:
        stack = Stack.up(NAME, print_report, gpus=16)
        images = stack.load_images(["operator", "router", "engine-sim"])
        told = {"url": Monitoring.inside, "scrapeSeconds": SCRAPE_SECONDS}
        stack.install_operator(images["operator"], {"prometheus": told})
        yield stack
    finally:
        down(layout, print_report)


@pytest.fixture(scope="session")
def monitoring(stack: Stack) -> Iterator[Monitoring]:
    """Prometheus, with the rules that the chart installs, and what it pages.

    If the environment names a file in STEERING_CHART, a picture of the whole session is left there.
    """
    started = start_monitoring(stack, rule_groups())
    began = time.time()
    yield started
    if "STEERING_CHART" in os.environ:
        Path(os.environ["STEERING_CHART"]).write_text(picture(started, began, time.time()))


@pytest.fixture
def chat(stack: Stack, monitoring: Monitoring) -> ChatCluster:
    """The chat cluster, Ready."""
    cluster = ChatCluster(stack, "default")
    cluster.apply(steered_sample())
    cluster.wait_ready()
    return cluster
