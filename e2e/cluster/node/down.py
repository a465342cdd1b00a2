"""Stop a cluster and remove all that it made, whatever has become of it meanwhile."""

from __future__ import annotations

import shutil

from e2e.cluster.cache import Report, locked
from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.host import require_root
from e2e.cluster.node.layout import Layout

__all__ = ["down", "end_processes", "remove_everything"]


def down(layout: Layout, report: Report, *, purge: bool = False) -> bool:
    """Stop the cluster and remove its state; return False when there is nothing to remove.

    `purge` removes the images loaded into it, too, which otherwise wait for the next start.
    """
    require_root()
    with locked(layout.lock, report):
        removed = remove_everything(layout)
        if purge and layout.images.exists():
            shutil.rmtree(layout.images)
            removed = True
        return removed


def remove_everything(layout: Layout) -> bool:
    """End every process of the cluster and remove its cgroup and folder."""
    if not CgroupTree(layout.cgroup).exists() and not layout.state.exists():
        return False
    end_processes(layout)
    if layout.state.exists():
        shutil.rmtree(layout.state)
    return True


def end_processes(layout: Layout) -> None:
    """End every process of the cluster and remove its cgroup.

    Mounts and network devices need no care: they belong to namespaces that end with their last process.
    """
    cgroup = CgroupTree(layout.cgroup)
    cgroup.kill()
    cgroup.remove()
