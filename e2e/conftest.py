"""Everything that runs on the embedded Kubernetes needs a real node, and so root on Linux."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests below this folder, and skip them where no node can run."""
    can = sys.platform == "linux" and os.geteuid() == 0
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.node)
            if not can:
                item.add_marker(pytest.mark.skip(reason="a node needs Linux and root"))
