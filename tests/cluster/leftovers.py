"""Look for anything of a cluster on the host, without asking the code that should have removed it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["leftovers"]


def leftovers(name: str, state: Path) -> list[str]:
    """Return what is left of the cluster `name`: processes, mounts, cgroups, files."""
    cgroups = list(Path("/sys/fs/cgroup").rglob(f"heterollm-{name}"))
    found = [f"cgroup {path}" for path in cgroups]
    if state.exists():
        found.append(f"folder {state}")
    for process in Path("/proc").glob("[0-9]*"):
        found += [f"process {process.name}: {reason}" for reason in _reasons(process, name, state)]
    return found


def _reasons(process: Path, name: str, state: Path) -> list[str]:
    """Return the ties of a process to the cluster: its cgroup, or a mount namespace with mounts of the cluster."""
    try:
        in_cgroup = f"/heterollm-{name}" in (process / "cgroup").read_text()
        has_mounts = f"{state}/" in (process / "mountinfo").read_text()
    except OSError:
        # Ended while we looked.
        return []
    return ["in the cluster's cgroup"] * in_cgroup + ["sees mounts of the cluster"] * has_mounts
