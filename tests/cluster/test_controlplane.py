"""The control plane without nodes: it controls, it keeps its data over a restart, and it leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.build import COMPONENTS, BuildError, ensure_binary
from e2e.cluster.controlplane import ControlPlane, ControlPlaneError
from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.toolchain import ToolchainError

pytestmark = pytest.mark.apiserver

_DEADLINE_S = 20.0


@pytest.fixture(scope="module", autouse=True)
def binary() -> Path:
    """Build the binary before anything is timed."""
    try:
        return ensure_binary(COMPONENTS["controlplane"])
    except (BuildError, ToolchainError) as error:
        pytest.skip(f"the control plane cannot be built here: {error}")


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for the tests of this module that leave it running."""
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


def kubectl(control_plane: ControlPlane, *arguments: str) -> Any:
    """Run kubectl; return its JSON output."""
    command = [str(kubectl_path()), f"--kubeconfig={control_plane.kubeconfig}", *arguments, "--output=json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another process to make a condition true."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "time is up"
        time.sleep(0.05)


def test_the_api_server_is_healthy(control_plane: ControlPlane) -> None:
    command = [str(kubectl_path()), f"--kubeconfig={control_plane.kubeconfig}", "get", "--raw=/readyz?verbose"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert answer.endswith("readyz check passed\n")


def test_it_reports_the_pinned_version(control_plane: ControlPlane) -> None:
    module_file = (COMPONENTS["controlplane"].module / "go.mod").read_text()
    version = kubectl(control_plane, "version")["serverVersion"]["gitVersion"]
    assert f"k8s.io/kubernetes {version}\n" in module_file


def test_a_deployment_gets_its_replica_set_and_pods(control_plane: ControlPlane) -> None:
    kubectl(control_plane, "create", "namespace", "controllers")
    kubectl(control_plane, "create", "deployment", "web", "--image=none", "--replicas=2", "-n", "controllers")
    eventually(lambda: len(kubectl(control_plane, "get", "pods", "-n", "controllers")["items"]) == 2)
    (replica_set,) = kubectl(control_plane, "get", "replicasets", "-n", "controllers")["items"]
    assert replica_set["metadata"]["ownerReferences"][0]["name"] == "web"
    pods = kubectl(control_plane, "get", "pods", "-n", "controllers")["items"]
    assert {pod["metadata"]["ownerReferences"][0]["name"] for pod in pods} == {replica_set["metadata"]["name"]}


def test_the_scheduler_looks_at_pods(control_plane: ControlPlane) -> None:
    kubectl(control_plane, "run", "unplaced", "--image=none")

    def condition() -> str:
        pod = kubectl(control_plane, "get", "pod", "unplaced")
        reasons = [entry.get("reason", "") for entry in pod["status"].get("conditions", [])]
        return ",".join(reasons)

    eventually(lambda: condition() == "Unschedulable")


def test_a_deleted_namespace_goes_away(control_plane: ControlPlane) -> None:
    kubectl(control_plane, "create", "namespace", "gone")
    command = [str(kubectl_path()), f"--kubeconfig={control_plane.kubeconfig}", "delete", "namespace", "gone"]
    subprocess.run([*command, f"--timeout={_DEADLINE_S:.0f}s"], check=True, capture_output=True)


@pytest.mark.parametrize("kill", [False, True], ids=["in order", "like a crash"])
def test_a_restart_keeps_address_keys_and_data(control_plane: ControlPlane, kill: bool) -> None:
    name = f"kept-{kill}".lower()
    kubectl(control_plane, "create", "configmap", name)
    kubeconfig_before = control_plane.kubeconfig.read_text()
    control_plane.stop_apiserver(kill=kill)
    assert not control_plane.running
    control_plane.start_apiserver()
    assert kubectl(control_plane, "get", "configmap", name)["metadata"]["name"] == name
    # A client that has read the kubeconfig before goes on with it.
    old = control_plane.state_dir / "before.kubeconfig"
    old.write_text(kubeconfig_before)
    command = [str(kubectl_path()), f"--kubeconfig={old}", "get", "configmap", name]
    subprocess.run(command, check=True, capture_output=True)


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path) as running:
        pid = running.pid
        assert pid is not None
    assert not Path(f"/proc/{pid}").exists()
    running.stop()


def test_it_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from e2e.cluster.controlplane import ControlPlane\n"
        "running = ControlPlane.start(pathlib.Path(sys.argv[1]))\n"
        "print(running.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).parents[2]
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter.stdout:
        pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    eventually(lambda: _ended(pid))


def _ended(pid: int) -> bool:
    """Whether a process has ended; a container without an init process keeps an orphan's entry as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_failed_start_shows_the_log_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match="--no-such-flag"):
        ControlPlane.start(tmp_path, apiserver_args=["--no-such-flag"])
    assert not (tmp_path / "ready").exists()


def test_a_folder_in_use_is_refused(control_plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match="another control plane runs in"):
        ControlPlane.start(control_plane.state_dir)
    assert control_plane.running


def test_the_data_folder_is_for_its_owner_only(control_plane: ControlPlane) -> None:
    for name in ("admin.kubeconfig", "pki/ca.key"):
        assert (control_plane.state_dir / name).stat().st_mode & 0o077 == 0
