"""One embedded cluster with the operator in it for the whole session; in it the demo's cluster, made quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster.cache import print_report
from e2e.cluster.node.down import down
from e2e.cluster.node.layout import Layout
from e2e.scenarios.chat_cluster import ChatCluster, quick_sample
from e2e.stack import Stack

NAME = "scenarios"
# The demo's engines take four GPUs, a surge in both tiers at once three more; the first look has a cluster beside it.
GPUS = 16


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A cluster of its own name with the operator installed by the chart; nothing of it is left afterwards."""
    layout = Layout(NAME)
    down(layout, print_report)
    try:
        stack = Stack.up(NAME, print_report, gpus=GPUS)
        images = stack.load_images(["operator", "router", "engine-sim"])
        stack.install_operator(images["operator"])
        yield stack
    finally:
        down(layout, print_report)


@pytest.fixture
def chat(stack: Stack) -> ChatCluster:
    """The demo's cluster with quick engines, Ready and as the sample says, whatever the test before did to it."""
    cluster = ChatCluster(stack, "default")
    cluster.apply(quick_sample())
    cluster.wait_ready()
    return cluster
