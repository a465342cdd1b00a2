"""The host's pip settings for RUN instructions, mounted while an image is built and never part of it."""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
from pathlib import Path

from e2e.cluster.images.buildah import Mount

__all__ = ["build_mounts", "pip_conf"]

# What says where packages come from. The rest (folders, cache, verbosity) is about the host itself.
_FORWARDED = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def build_mounts(folder: Path) -> list[Mount]:
    """Return the mounts that let `pip install` reach the package index as it does on the host."""
    configuration = folder / "pip.conf"
    configuration.write_text(pip_conf(_pip_config_list()))
    mounts = [Mount(configuration, "/etc/pip.conf")]
    certificates = _host_certificates()
    if certificates is not None:
        mounts.append(Mount(certificates, _CERTIFICATES))
    return mounts


def pip_conf(listed: str) -> str:
    """Translate the output of `pip config list` to a configuration file for a container."""
    lines = ["[global]", f"cert = {_CERTIFICATES}", "disable-pip-version-check = true", "root-user-action = ignore"]
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, separator, value = line.partition("=")
        option = name.rpartition(".")[2]
        if separator and option in _FORWARDED:
            # Variables of the environment (":env:.") are listed last and win, as in pip.
            settings[option] = str(ast.literal_eval(value))
    for option, value in sorted(settings.items()):
        lines.append(f"{option} = " + "\n    ".join(value.split()))
    return "\n".join(lines) + "\n"


def _pip_config_list() -> str:
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _host_certificates() -> Path | None:
    """Return the host's bundle of trusted certificates, which may have more in it than Debian's."""
    defaults = ssl.get_default_verify_paths()
    candidates = (os.environ.get("PIP_CERT"), os.environ.get("SSL_CERT_FILE"), defaults.cafile, _CERTIFICATES)
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)
