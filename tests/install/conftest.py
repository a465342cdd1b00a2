"""An API server of its own: these tests install, keep and delete what is cluster-wide."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster.build import COMPONENTS, BuildError, ensure_binary
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.toolchain import ToolchainError
from tests.install.kube import Kube

# As on OpenShift: who sets blockOwnerDeletion must have the right to update the owner's finalizers.
_STRICT = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """An administrator's kubectl at an empty cluster."""
    try:
        ensure_binary(COMPONENTS["controlplane"])
    except (BuildError, ToolchainError) as error:
        pytest.skip(f"the control plane cannot be built here: {error}")
    with ControlPlane.start(tmp_path_factory.mktemp("install"), apiserver_args=[_STRICT]) as control_plane:
        yield Kube(control_plane.kubeconfig)
