"""The embedded cluster with the operator, a real Prometheus, and beside it a service that answers everything so far."""

from __future__ import annotations

import pytest

from e2e.migration.service import start_service
from e2e.monitoring.start import Monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import Stack
from e2e.steering.conftest import monitoring, stack

__all__ = ["chat", "monitoring", "stack"]


@pytest.fixture
def chat(stack: Stack, monitoring: Monitoring) -> ChatCluster:
    """A cluster that is still to be applied; the service runs."""
    start_service(stack)
    return ChatCluster(stack, "default")
