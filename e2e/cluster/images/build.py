"""Build one of the project's Dockerfiles into an archive that containerd can import, once per content."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir, locked, print_report
from e2e.cluster.images.apt_settings import apt_mounts
from e2e.cluster.images.base import ensure_base
from e2e.cluster.images.buildah import Buildah
from e2e.cluster.images.context import content_key, context_files, stage
from e2e.cluster.images.dockerfile import copied_paths, is_copied
from e2e.cluster.images.pip_settings import build_mounts
from e2e.cluster.images.reference import normalized

__all__ = ["build_image"]


def build_image(
    tag: str,
    dockerfile: Path,
    context: Path,
    arguments: Mapping[str, str] | None = None,
    report: Report = print_report,
) -> Path:
    """Return the docker archive of an image, building it unless the same content has been built before.

    The Dockerfile's `ARG BASE` is set to the local base image, unless `arguments` name another.
    """
    folder = cache_dir() / "images"
    reference = normalized(tag)
    with locked(folder / "build.lock", report), tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as name:
        work = Path(name)
        buildah = Buildah(folder)
        base_work = work / "base"
        base_work.mkdir()
        used = {"BASE": ensure_base(buildah, base_work, report), **(arguments or {})}
        paths = copied_paths(dockerfile)
        files = [file for file in context_files(context) if is_copied(file, paths)]
        archive = _archive(folder, reference, content_key(context, files, dockerfile, used))
        if archive.exists():
            report(f"{tag}: unchanged")
            return archive
        report(f"{tag}: building {dockerfile}")
        (work / "context").mkdir()
        stage(context, files, work / "context")
        mounts = [*build_mounts(work), *apt_mounts(work)]
        buildah.build(reference, dockerfile, work / "context", used, mounts)
        _export(buildah, reference, archive, work)
        report(f"{tag}: built, {archive.stat().st_size / 1e6:.0f} MB")
        return archive


def _archive(folder: Path, reference: str, key: str) -> Path:
    return folder / "archives" / re.sub(r"[^a-z0-9.]+", "-", reference.lower()) / f"{key}.tar"


def _export(buildah: Buildah, reference: str, archive: Path, work: Path) -> None:
    """Put the archive in its place in one step, and drop those of the same name it takes the place of."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    buildah.export(reference, work / "image.tar")
    for old in archive.parent.glob("*.tar"):
        old.unlink()
    (work / "image.tar").rename(archive)
