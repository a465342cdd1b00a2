"""Start a cluster: control plane, node, networking, DNS, devices."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.build import COMPONENTS, ensure_binaries
from e2e.cluster.cache import Report, locked
from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.containerd import start_containerd
from e2e.cluster.node.credentials import issue_kubeconfig
from e2e.cluster.node.daemons import Daemons, recorded
from e2e.cluster.node.dns import start_coredns
from e2e.cluster.node.down import end_processes, remove_everything
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.forward import listen, start_forwarder
from e2e.cluster.node.host import ensure_packages, require_root
from e2e.cluster.node.kubelet import start_kube_proxy, start_kubelet
from e2e.cluster.node.layout import API_PORT, NODE_ADDRESS, NODE_NAME, SERVICE_NETWORK, Layout
from e2e.cluster.node.load import load_archive
from e2e.cluster.node.namespaces import Namespaces
from e2e.cluster.node.pause_image import write_pause_archive

__all__ = ["GPU_RESOURCE", "Devices", "up"]

GPU_RESOURCE = "nvidia.com/gpu"
_BINARIES = ("controlplane", "kubelet", "kube-proxy", "coredns", "pause", "deviceplugin")
_CONTROL_PLANE_TIMEOUT_S = 60.0
_NODE_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Devices:
    """What the cluster pretends to have: GPUs on each node, and further nodes."""

    gpus: int = 8
    fake_nodes: int = 0


def up(layout: Layout, devices: Devices, report: Report) -> bool:
    """Start the cluster and return when its node is Ready; return False when it runs already."""
    require_root()
    ensure_packages(report)
    names = [*_BINARIES, *(["fakenodes"] if devices.fake_nodes else [])]
    binaries = ensure_binaries([COMPONENTS[name] for name in names], report)
    with locked(layout.lock, report):
        if Namespaces.find(layout) is not None:
            _require_complete(layout)
            return False
        # What a crash may have left.
        remove_everything(layout)
        try:
            _start(layout, devices, binaries, report)
        except BaseException:
            # Interrupted or failed: nothing half-started goes on running.
            end_processes(layout)
            report(f"giving up; the logs stay in {layout.logs} until the next `up` or `down`")
            raise
    return True


def _require_complete(layout: Layout) -> None:
    """Refuse to call a cluster running that has lost a part; what to do about its data is the user's choice."""
    ended = [name for name, running in recorded(layout).items() if not running]
    if ended:
        raise NodeError(f"{', '.join(ended)} of the cluster {layout.name} ended, see {layout.logs}; `down` removes it")


def _start(layout: Layout, devices: Devices, binaries: dict[str, Path], report: Report) -> None:
    started = time.monotonic()

    def say(line: str) -> None:
        report(f"[{time.monotonic() - started:4.1f} s] {line}")

    for folder in (layout.state, layout.config, layout.logs):
        folder.mkdir(parents=True)
    cgroup = CgroupTree(layout.cgroup)
    cgroup.create()
    daemons = Daemons(layout, cgroup, Namespaces.create(layout, cgroup, binaries["pause"]))
    say("namespaces made")
    _start_control_plane(daemons, binaries["controlplane"])
    start_containerd(daemons)
    archive = layout.config / "pause.tar"
    write_pause_archive(binaries["pause"], archive)
    load_archive(daemons, archive)
    say("containerd serves")
    ready = layout.control_plane / "ready"
    daemons.wait("controlplane", "the control plane is ready", ready.exists, _CONTROL_PLANE_TIMEOUT_S)
    _publish_kubeconfig(layout)
    say("control plane ready")
    _start_node(daemons, devices, binaries)
    daemons.wait("kubelet", "the node is Ready", _node_ready(layout, devices.gpus), _NODE_TIMEOUT_S)
    say("node Ready")
    if devices.fake_nodes:
        _start_fake_nodes(daemons, devices, binaries)
        say(f"{devices.fake_nodes} fake nodes asked for")


def _start_control_plane(daemons: Daemons, binary: Path) -> None:
    """Start the control plane, and the way to it from the host, whose port its kubeconfig names."""
    with listen() as listener:
        start_forwarder(daemons, "forwarder", listener, NODE_ADDRESS, API_PORT)
        port = listener.getsockname()[1]
    command = [str(binary), "run", "--data-dir", str(daemons.layout.control_plane)]
    command += ["--bind-address", "0.0.0.0", "--port", str(API_PORT), "--advertise-address", NODE_ADDRESS]
    command += ["--external-url", f"https://127.0.0.1:{port}", "--service-cidr", SERVICE_NETWORK]
    daemons.layout.control_plane.mkdir()
    daemons.start("controlplane", command)


def _publish_kubeconfig(layout: Layout) -> None:
    """Put the administrator's kubeconfig where users look for it."""
    layout.kubeconfig.touch(mode=0o600)
    layout.kubeconfig.write_text((layout.control_plane / "admin.kubeconfig").read_text())


def _start_node(daemons: Daemons, devices: Devices, binaries: dict[str, Path]) -> None:
    def issue(user: str, *groups: str) -> Path:
        return issue_kubeconfig(daemons.layout, binaries["controlplane"], user, *groups)

    start_kubelet(daemons, binaries["kubelet"], issue(f"system:node:{NODE_NAME}", "system:nodes"))
    start_kube_proxy(daemons, binaries["kube-proxy"], issue("system:kube-proxy"))
    start_coredns(daemons, binaries["coredns"], issue("heterollm:coredns", "system:masters"))
    if devices.gpus:
        command = [str(binaries["deviceplugin"]), "--resource", GPU_RESOURCE, "--count", str(devices.gpus)]
        daemons.start("deviceplugin", command)


def _start_fake_nodes(daemons: Daemons, devices: Devices, binaries: dict[str, Path]) -> None:
    kubeconfig = issue_kubeconfig(daemons.layout, binaries["controlplane"], "heterollm:fakenodes", "system:masters")
    command = [str(binaries["fakenodes"]), "--kubeconfig", str(kubeconfig), "--nodes", str(devices.fake_nodes)]
    daemons.start("fakenodes", [*command, "--gpus", str(devices.gpus)])


def _node_ready(layout: Layout, gpus: int) -> Callable[[], bool]:
    """Return a check that the node is Ready, schedulable and has its GPUs."""
    command = [str(kubectl_path()), "--kubeconfig", str(layout.kubeconfig), "get", "node", NODE_NAME, "--output=json"]

    def ready() -> bool:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            return False
        node = json.loads(run.stdout)
        conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
        allocatable = int(node["status"].get("allocatable", {}).get(GPU_RESOURCE, 0))
        return conditions.get("Ready") == "True" and not node["spec"].get("taints") and allocatable == gpus

    return ready
