"""The cluster's own mount, network and process namespaces, and commands that run inside them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.layout import CLUSTER_DOMAIN, NODE_ADDRESS, NODE_NETWORK, Layout
from e2e.cluster.node.process import ProcessId

__all__ = ["Namespaces", "inner_environment"]

_SCRIPT = Path(__file__).with_name("namespace.sh")
_START_TIMEOUT_S = 20.0
_POLL_S = 0.02
# The script mounts over these, so what must stay visible cannot lie in them.
_REPLACED = ("/etc", "/var/lib", "/var/log", "/run")


def inner_environment() -> dict[str, str]:
    """Return the environment for programs inside: no proxy is reachable there, and system programs are found."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"}


@dataclass(frozen=True)
class Namespaces:
    """The namespaces of a running cluster, held by their first process; they end with it."""

    first: ProcessId

    @classmethod
    def create(cls, layout: Layout, cgroup: CgroupTree, reaper: Path) -> Namespaces:
        """Make the namespaces and build the private view of the machine in them."""
        state = layout.state.resolve()
        if any(state.is_relative_to(folder) for folder in _REPLACED):
            raise NodeError(
                f"the cluster's folder {state} must not be below {', '.join(_REPLACED)}: set HETEROLLM_CACHE"
            )
        script = ["sh", str(_SCRIPT), str(state), str(layout.images.resolve()), str(reaper)]
        script += [NODE_ADDRESS, NODE_NETWORK.partition("/")[2], CLUSTER_DOMAIN]
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        log = layout.logs / "namespace.log"
        with log.open("ab") as output:
            waiter = subprocess.Popen(
                [*unshare, "--propagation", "slave", "--", *script],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=inner_environment(),
                start_new_session=True,
                preexec_fn=cgroup.join,
            )
        _wait_until_ready(waiter, state / "namespace.ready", log)
        namespaces = cls(_only_child(waiter.pid))
        _record(layout).write_text(str(namespaces.first))
        return namespaces

    @classmethod
    def find(cls, layout: Layout) -> Namespaces | None:
        """Return the namespaces of the running cluster, None if there is none."""
        try:
            first = ProcessId.parse(_record(layout).read_text())
        except FileNotFoundError:
            return None
        return cls(first) if first.running else None

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` inside."""
        return ["nsenter", "--target", str(self.first.pid), "--mount", "--net", "--pid", "--", *command]


def _record(layout: Layout) -> Path:
    return layout.state / "namespace.process"


def _wait_until_ready(waiter: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not ready.exists():
        if waiter.poll() is not None or time.monotonic() > deadline:
            raise NodeError(f"could not make the cluster's namespaces:\n{log.read_text()}")
        time.sleep(_POLL_S)


def _only_child(pid: int) -> ProcessId:
    child = ProcessId.of(int(Path(f"/proc/{pid}/task/{pid}/children").read_text()))
    if child is None:
        raise NodeError("the first process of the cluster's namespaces ended at once")
    return child
