"""The cluster's own cgroup: everything the cluster starts is in it, so everything can be found and ended.

It is made in every hierarchy of the machine: one with cgroup v2, one for each controller with cgroup v1.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.node.errors import NodeError

__all__ = ["CgroupTree"]

_MOUNTS = Path("/proc/self/mounts")
# With cgroup v2 only leaves hold processes; the kubelet makes the pods' cgroup beside this one.
_DAEMONS = "daemons"
_END_TIMEOUT_S = 20.0
_POLL_S = 0.02


@dataclass(frozen=True)
class CgroupTree:
    """The cgroup `name` at the root of every hierarchy."""

    name: str

    def create(self) -> None:
        """Make the cgroup, with every controller that the machine has."""
        for mount in _hierarchies():
            folder = mount / self.name
            folder.mkdir(exist_ok=True)
            if (folder / "cgroup.subtree_control").exists() and _is_unified(mount):
                _enable_controllers(mount)
                _enable_controllers(folder)
            if (folder / "cpuset.cpus").exists() and not _is_unified(mount):
                # A new cpuset of cgroup v1 is empty, and nothing can run in it; children copy it.
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (folder / file).write_text((mount / file).read_text())
                (folder / "cgroup.clone_children").write_text("1")
            (folder / _DAEMONS).mkdir(exist_ok=True)

    def exists(self) -> bool:
        """Tell whether anything of the cgroup is there."""
        return any(folder.exists() for folder in self._folders())

    def join(self) -> None:
        """Move the calling process into the cgroup; its children follow."""
        for folder in self._folders():
            (folder / _DAEMONS / "cgroup.procs").write_text(str(os.getpid()))

    def pids(self) -> set[int]:
        """Return the processes in the cgroup and below it."""
        found: set[int] = set()
        for folder in self._folders():
            for path in folder.rglob("cgroup.procs"):
                try:
                    found.update(int(line) for line in path.read_text().split())
                except OSError:
                    # Removed meanwhile by its owner.
                    continue
        return found - {os.getpid()}

    def kill(self) -> None:
        """End every process in the cgroup."""
        deadline = time.monotonic() + _END_TIMEOUT_S
        while pids := self.pids():
            if time.monotonic() > deadline:
                raise NodeError(f"processes do not end: {sorted(pids)}")
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(_POLL_S)

    def remove(self) -> None:
        """Remove the cgroup, which must hold no process any more."""
        for folder in self._folders():
            _remove_tree(folder)

    def _folders(self) -> list[Path]:
        return [folder for mount in _hierarchies() if (folder := mount / self.name).is_dir()]


def _hierarchies() -> list[Path]:
    """Return where the machine's cgroup hierarchies are mounted."""
    fields = (line.split() for line in _MOUNTS.read_text().splitlines())
    return [Path(field[1]) for field in fields if field[2] in ("cgroup", "cgroup2")]


def _is_unified(mount: Path) -> bool:
    """Tell whether this is cgroup v2 with controllers, not the empty v2 hierarchy beside those of v1."""
    controllers = mount / "cgroup.controllers"
    return controllers.exists() and bool(controllers.read_text().split())


def _enable_controllers(folder: Path) -> None:
    names = (folder / "cgroup.controllers").read_text().split()
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in names))


def _remove_tree(folder: Path) -> None:
    children = sorted((path for path in folder.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    for path in [*children, folder]:
        _remove(path)


def _remove(path: Path) -> None:
    """Remove one cgroup; the kernel may call it busy for a moment after its last process has ended."""
    deadline = time.monotonic() + _END_TIMEOUT_S
    while True:
        try:
            path.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise NodeError(f"cannot remove the cgroup {path}: {error}") from error
        time.sleep(_POLL_S)
