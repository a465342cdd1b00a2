"""What the full mode needs from the machine: Linux, root, Debian's packages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from e2e.cluster.cache import Report
from e2e.cluster.debian import PackageError, install
from e2e.cluster.node.errors import NodeError

__all__ = ["CNI_PLUGINS", "ensure_packages", "require_root"]

CNI_PLUGINS = Path("/usr/lib/cni")

# A program of each package tells whether the package is there, whoever installed it.
_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "nsenter": "util-linux",
    "mount": "mount",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
}


def require_root() -> None:
    """Refuse to go on where a node cannot run, and say what would work instead."""
    if sys.platform != "linux":
        raise NodeError(f"the full cluster needs Linux, this is {sys.platform}; use a Linux virtual machine")
    if os.geteuid() != 0:
        raise NodeError("the full cluster needs root (namespaces, mounts, cgroups): run the command with sudo")


def ensure_packages(report: Report) -> None:
    """Install the Debian packages that are missing."""
    missing = sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None})
    if not missing:
        return
    try:
        install(missing, report)
    except PackageError as error:
        raise NodeError(str(error)) from None
