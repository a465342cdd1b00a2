"""A cluster in which the real SGLang server runs in every engine pod, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster.cache import print_report
from e2e.cluster.node.down import down
from e2e.cluster.node.layout import Layout
from e2e.disk import missing_disk
from e2e.stack import ROOT, Stack

NAME = "sglang"
CLUSTER, NAMESPACE = "chat", "default"
READY_SECONDS = 900.0


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The demo's sample for the real server, applied and Ready; taken down afterwards, whatever happens."""
    layout = Layout(NAME)
    down(layout, print_report)
    if complaint := missing_disk("sglang", layout):
        pytest.fail(complaint, pytrace=False)
    try:
        stack = Stack.up(NAME, print_report)
        images = stack.load_images(["operator", "router", "engine-cpu"])
        stack.install_operator(images["operator"])
        stack.kubectl("apply", "-n", NAMESPACE, "-f", str(ROOT / "manifests" / "samples" / "demo-sglang.yaml"))
        stack.wait_ready(CLUSTER, NAMESPACE, READY_SECONDS)
        yield stack
    finally:
        down(layout, print_report)
