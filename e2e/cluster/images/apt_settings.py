"""The host's apt settings for RUN instructions, mounted while an image is built and never part of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.images.buildah import Mount

__all__ = ["apt_conf", "apt_mounts"]

# What says how mirrors are reached. What names the host's own files and programs stays outside.
_FORWARDED = re.compile(
    r"Acquire::(?:Retries|Check-Date|Check-Valid-Until|https?::(?:.+::)?(?:Proxy|Timeout|Verify-Peer|Verify-Host)(?:::.+)?)",
    re.IGNORECASE,
)
_SETTING = re.compile(r'(\S+) "(.+)";')


def apt_mounts(folder: Path) -> list[Mount]:
    """Return the mounts that let `apt-get` reach its mirror as it does on the host."""
    if shutil.which("apt-config") is None:
        return []
    # A whole folder: the place of a single file would stay in the image.
    settings = folder / "apt.conf.d"
    settings.mkdir()
    run = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    (settings / "host").write_text(apt_conf(run.stdout))
    return [Mount(settings, "/etc/apt/apt.conf.d")]


def apt_conf(dumped: str) -> str:
    """Translate the output of `apt-config dump` to a configuration file for a container."""
    found = (_SETTING.fullmatch(line) for line in dumped.splitlines())
    return "".join(f"{match.group()}\n" for match in found if match and _FORWARDED.fullmatch(match.group(1)))
