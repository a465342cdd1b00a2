"""Say what of a cluster runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.daemons import recorded
from e2e.cluster.node.layout import Layout
from e2e.cluster.node.namespaces import Namespaces
from e2e.cluster.node.process import resident_bytes

__all__ = ["status_lines"]

_REQUEST_TIMEOUT = "5s"


def status_lines(layout: Layout) -> tuple[bool, list[str]]:
    """Return whether the whole cluster runs, and lines that say what does."""
    cgroup = CgroupTree(layout.cgroup)
    if not cgroup.exists() and not layout.state.exists():
        return False, [f"cluster {layout.name}: not running"]
    if Namespaces.find(layout) is None:
        return False, [f"cluster {layout.name}: broken (its namespaces are gone); `down` removes what is left"]
    programs = recorded(layout)
    lines = [f"cluster {layout.name}: running, {len(cgroup.pids())} processes"]
    lines += [
        f"  {name:30} {'running' if running else f'ENDED, see {layout.logs}'}" for name, running in programs.items()
    ]
    lines += [f"  {name:30} {size / 2**20:6.0f} MiB resident" for name, size in _resident(cgroup)]
    lines += _nodes(layout)
    lines.append(f"export KUBECONFIG={layout.kubeconfig}")
    return all(programs.values()), lines


def _resident(cgroup: CgroupTree) -> list[tuple[str, int]]:
    """Return the resident memory of the largest programs, those of pods included."""
    sizes: dict[str, int] = {}
    for pid in cgroup.pids():
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        sizes[name] = sizes.get(name, 0) + resident_bytes(pid)
    return sorted(sizes.items(), key=lambda item: -item[1])[:8]


def _nodes(layout: Layout) -> list[str]:
    command = [str(kubectl_path()), "--kubeconfig", str(layout.kubeconfig), "get", "nodes"]
    run = subprocess.run(
        [*command, f"--request-timeout={_REQUEST_TIMEOUT}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout.splitlines()
