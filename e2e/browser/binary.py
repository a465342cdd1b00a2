"""Chromium: Debian's headless one, unpacked into the cache and not installed, with libraries that this host lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir, locked, print_report

__all__ = ["BrowserError", "browser_environment", "ensure_browser"]

_PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
_PROGRAM = Path("usr/lib/chromium/chromium-headless-shell")
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>{folder}/root/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir>
<match><edit name="family" mode="append_last"><string>DejaVu Sans</string></edit></match>
</fontconfig>
"""
_INSTALLS = re.compile(r"^Inst (\S+)", re.MULTILINE)


class BrowserError(RuntimeError):
    """There is no browser, and it could not be had; the message says why."""


def ensure_browser(report: Report = print_report) -> Path:
    """Return the program.

    Raises:
        BrowserError: the packages could not be had; the message says why.
    """
    if shutil.which("apt-get") is None:
        raise BrowserError("there is no apt-get to fetch a browser with")
    folder = cache_dir() / "browser"
    program = folder / "root" / _PROGRAM
    with locked(folder / "lock", report):
        if not program.exists():
            report("fetching Debian's headless Chromium (100 MB)")
            _fetch(folder)
    return program


def browser_environment(program: Path) -> dict[str, str]:
    """What the program must be told of where its libraries are."""
    root = Path(str(program).removesuffix(str(_PROGRAM)))
    libraries = {str(file.parent) for file in (root / "usr" / "lib").rglob("*.so*") if "chromium" not in file.parts}
    return {"LD_LIBRARY_PATH": ":".join(sorted(libraries)), "FONTCONFIG_FILE": str(root / "fonts.conf")}


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        # apt fetches as a user of its own, who must be able to write here.
        Path(work).chmod(0o777)
        if not _download(work):
            # Commonly the package lists are missing or too old.
            _apt(["apt-get", "update"], work)
            if not _download(work):
                raise BrowserError(f"could not fetch {' and '.join(_PACKAGES)}")
        unpacked = Path(work) / "root"
        for package in sorted(Path(work).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
        (unpacked / "fonts.conf").write_text(_FONTS.format(folder=folder))
        shutil.rmtree(folder / "root", ignore_errors=True)
        unpacked.rename(folder / "root")


def _download(work: str) -> bool:
    """Fetch the packages and what of their dependencies is not installed here."""
    plan = _apt(["apt-get", "install", "--simulate", "--no-install-recommends", *_PACKAGES], work)
    # What is installed already is no part of the plan; the browser itself is fetched in any case.
    missing = dict.fromkeys([_PACKAGES[0], "chromium-common", *_INSTALLS.findall(plan.stdout)])
    return plan.returncode == 0 and _apt(["apt-get", "download", *missing], work).returncode == 0


def _apt(command: list[str], work: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
