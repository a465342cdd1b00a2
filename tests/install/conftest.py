"""An API server of its own: these tests install, keep and delete what is cluster-wide."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster.controlplane import ControlPlane
from tests.install.kube import Kube


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """An administrator's kubectl at an empty cluster."""
    with ControlPlane.start(tmp_path_factory.mktemp("install")) as control_plane:
        yield Kube(control_plane.kubeconfig)
