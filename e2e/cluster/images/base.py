"""The local base image: a small Debian with Python, in the place of the `python:slim` of a registry."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.cache import Report
from e2e.cluster.images.buildah import Buildah, ImageError

__all__ = ["base_reference", "ensure_base"]

_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"

_CLEANUP = r"""
set -eu
cd "$1"
rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* usr/share/doc usr/share/man usr/share/locale dev proc sys run tmp
mkdir -m 755 dev proc sys run
mkdir -m 1777 tmp
# Empty: the image belongs to no machine (debootstrap copies some of these from the one it runs on), and there to be
# mounted over, while an image is built and in a pod.
for file in hostname hosts resolv.conf pip.conf; do
  : > "etc/$file"
done
# As in the image that this one stands for, pip may install into the system's Python.
rm -f usr/lib/python3*/EXTERNALLY-MANAGED
ln -s python3 usr/bin/python
"""

_DOCKERFILE = """\
FROM scratch
ADD rootfs.tar /
CMD ["python3"]
"""


def base_reference() -> str:
    """Return the name of the base image, which changes when its recipe does."""
    recipe = "\0".join((_SUITE, _PACKAGES, _CLEANUP, _DOCKERFILE))
    return f"localhost/heterollm/base:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


def ensure_base(buildah: Buildah, work: Path, report: Report) -> str:
    """Return the base image's name, building the image first unless it is in the store.

    `work` is an empty folder for what the build needs meanwhile (about 1 GB).
    """
    reference = base_reference()
    if buildah.image_id(reference) is not None:
        return reference
    report(f"building the base image: Debian {_SUITE} with Python (two minutes, once)")
    rootfs, context = work / "rootfs", work / "context"
    context.mkdir()
    _debootstrap(rootfs)
    _run(["sh", "-c", _CLEANUP, "sh", str(rootfs)])
    _run(["tar", "--numeric-owner", "--sort=name", "-C", str(rootfs), "-cf", str(context / "rootfs.tar"), "."])
    (context / "Dockerfile").write_text(_DOCKERFILE)
    buildah.build(reference, context / "Dockerfile", context, {}, [])
    shutil.rmtree(work)
    return reference


def _debootstrap(rootfs: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(rootfs)]
    _run(command + _mirror())


def _mirror() -> list[str]:
    """Return this machine's Debian mirror, as debootstrap's argument; nothing where it has none."""
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split()[0] for line in listed if line.split()[1:] == [_SUITE, "main"]][:1]


def _run(command: list[str]) -> None:
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode != 0:
        tail = "\n".join(run.stdout.splitlines()[-15:])
        raise ImageError(f"{command[0]} failed with exit status {run.returncode}:\n{tail}")
