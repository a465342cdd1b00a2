"""Buildah, with a store of its own in the cache folder."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Buildah", "ImageError", "Mount"]


class ImageError(RuntimeError):
    """An image could not be built or loaded; the message says why."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host that RUN instructions see, read-only, in the place of one of the image's."""

    source: Path
    target: str


@dataclass(frozen=True)
class Buildah:
    """The `buildah` command on the store in `folder`."""

    folder: Path

    def image_id(self, reference: str) -> str | None:
        """Return the id (the hex digest of the configuration) of an image in the store, None if it is not there."""
        run = self._run(
            ["inspect", "--type", "image", "--format", "{{.FromImageID}}", reference], capture=True, check=False
        )
        return run.stdout.strip() or None if run.returncode == 0 else None

    def build(
        self,
        reference: str,
        dockerfile: Path,
        context: Path,
        arguments: Mapping[str, str],
        mounts: Sequence[Mount],
    ) -> None:
        """Build a Dockerfile; its RUN instructions use the host's network, its base must be in the store."""
        command = ["build", "--isolation", "chroot", "--format", "docker", "--layers", "--pull-never"]
        command += ["--tag", reference, "--file", str(dockerfile)]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        for mount in mounts:
            command += ["--volume", f"{mount.source}:{mount.target}:ro"]
        self._run([*command, str(context)])

    def export(self, reference: str, archive: Path) -> None:
        """Write an image as a docker archive, under the name it has."""
        self._run(["push", "--quiet", reference, f"docker-archive:{archive}:{reference}"])

    def _run(
        self, arguments: list[str], *, capture: bool = False, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        # The private mount namespace takes buildah's mounts with it, also when buildah is killed.
        command = ["unshare", "--mount", "--", "buildah", "--storage-driver", "overlay"]
        command += ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"), *arguments]
        run = subprocess.run(command, capture_output=capture, text=True, check=False)
        if check and run.returncode != 0:
            raise ImageError(f"`buildah {arguments[0]}` failed with exit status {run.returncode}; its output is above")
        return run
