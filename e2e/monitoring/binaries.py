"""Prometheus and Alertmanager: Debian's own, unpacked and not installed, as installing them would start services."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir, locked, print_report
from e2e.cluster.node.errors import NodeError

__all__ = ["ensure_binaries"]

_PACKAGES = ("prometheus", "prometheus-alertmanager")


def ensure_binaries(report: Report) -> Path:
    """Return the folder that holds the programs, by their names in Debian.

    Raises:
        NodeError: the packages could not be had; the message says why.
    """
    if shutil.which("apt-get") is None:
        raise NodeError(f"please put {' and '.join(_PACKAGES)} on the path: there is no apt-get to fetch them with")
    folder = cache_dir() / "monitoring"
    folder.mkdir(parents=True, exist_ok=True)
    programs = folder / "root" / "usr" / "bin"
    with locked(folder / "lock", report):
        if all((programs / name).exists() for name in _PACKAGES):
            return programs
        report("fetching Debian's prometheus and prometheus-alertmanager")
        with tempfile.TemporaryDirectory(dir=folder) as work:
            if _apt(["apt-get", "download", *_PACKAGES], work).returncode:
                _apt(["apt-get", "update"], work)
                done = _apt(["apt-get", "download", *_PACKAGES], work)
                if done.returncode:
                    raise NodeError(f"could not fetch {' and '.join(_PACKAGES)}:\n{done.stderr.strip()}")
            unpacked = Path(work) / "root"
            for package in sorted(Path(work).glob("*.deb")):
                subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
            # In one step, so that whoever finds one program finds all of them.
            shutil.rmtree(folder / "root", ignore_errors=True)
            unpacked.rename(folder / "root")
    return programs


def _apt(command: list[str], work: str) -> subprocess.CompletedProcess[str]:
    # apt fetches as a user of its own, who must be able to write here.
    Path(work).chmod(0o777)
    return subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)


def main() -> int:
    """Fetch the programs for the tests that run them; without them those tests are skipped, which CI does not take."""
    try:
        print(f"Prometheus and Alertmanager are in {ensure_binaries(print_report)}")
    except NodeError as error:
        print(f"without Prometheus, its tests are skipped: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
