"""What the tests of the shell share."""

from __future__ import annotations

import pytest

from tests.shell.bench import Bench
from tests.shell.fake_api import CLUSTER_PATH
from tests.shell.objects import cluster


@pytest.fixture
def bench() -> Bench:
    """A worker to whom the cluster ns/c has just become known."""
    bench = Bench()
    bench.exists(cluster(7), CLUSTER_PATH)
    return bench
