"""Debian's packages, installed where they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from e2e.cluster.cache import Report

__all__ = ["PackageError", "install"]


class PackageError(RuntimeError):
    """Packages are missing and could not be installed; the message says which and why."""


def install(packages: Sequence[str], report: Report) -> None:
    """Install packages, without what they only recommend.

    Raises:
        PackageError: there is no apt-get, this is not root, or apt failed; the message is apt's then.
    """
    names = ", ".join(packages)
    if shutil.which("apt-get") is None:
        raise PackageError(f"please install {names}: there is no apt-get to do it with")
    if os.geteuid() != 0:
        raise PackageError(f"please install {names} (as root: apt-get install {' '.join(packages)})")
    report(f"installing Debian packages: {names}")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if _apt(command).returncode == 0:
        return
    # Commonly the package lists are missing or too old.
    _apt(["apt-get", "update"])
    run = _apt(command)
    if run.returncode != 0:
        raise PackageError(f"could not install {names}:\n{run.stdout}")


def _apt(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
