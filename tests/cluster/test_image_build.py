"""Building a Dockerfile on the local base: it works like on any machine and remembers nothing of this one."""

from __future__ import annotations

import json
import os
import platform
import sys
import tarfile
from pathlib import Path

import pytest

from e2e.cluster.images.build import build_image
from e2e.cluster.node.host import ensure_packages

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(sys.platform != "linux", reason="buildah needs Linux"),
    pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="building images needs root"),
]

_TAG = "heterollm/test-build:0.1.0"
_DOCKERFILE = """\
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG GREETING=none
RUN pip install --no-cache-dir idna==3.7 && echo "$GREETING" > /greeting
COPY app.py /app/app.py
ENTRYPOINT ["python3", "/app/app.py"]
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    (folder / "app.py").write_text("import idna\n")
    return folder


@pytest.fixture(scope="module")
def archive(context: Path) -> Path:
    ensure_packages(print)
    return _build(context)


def _build(context: Path, greeting: str = "hello") -> Path:
    return build_image(_TAG, context / "Dockerfile", context, {"GREETING": greeting})


def _files(archive: Path) -> dict[str, bytes]:
    """Return the files of all layers."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as image:
        for name in _manifest(image)["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                for entry in layer:
                    content = layer.extractfile(entry) if entry.isreg() else None
                    if content is not None:
                        found[entry.name] = content.read()
    return found


def _manifest(image: tarfile.TarFile) -> dict[str, list[str]]:
    content = image.extractfile("manifest.json")
    assert content is not None
    (manifest,) = json.load(content)
    return dict(manifest)


def test_the_image_has_what_its_dockerfile_asks_for(archive: Path) -> None:
    files = _files(archive)
    assert files["greeting"] == b"hello\n"
    assert files["app/app.py"] == b"import idna\n"
    assert any(name.endswith("/idna/__init__.py") for name in files)


def test_the_archive_carries_the_full_name(archive: Path) -> None:
    with tarfile.open(archive) as image:
        assert _manifest(image)["RepoTags"] == [f"docker.io/{_TAG}"]


def test_the_image_remembers_nothing_of_this_machine(archive: Path) -> None:
    files = _files(archive)
    for name in ("etc/pip.conf", "etc/resolv.conf", "etc/hostname", "etc/hosts"):
        assert files[name] == b"", name
    host = platform.node().encode()
    assert [name for name, content in files.items() if name.startswith("etc/") and host in content.split()] == []


def test_unchanged_content_is_not_built_again(archive: Path, context: Path) -> None:
    before = archive.stat()
    assert _build(context) == archive
    assert archive.stat().st_mtime_ns == before.st_mtime_ns


def test_a_changed_argument_takes_the_old_archives_place(archive: Path, context: Path) -> None:
    changed = _build(context, "good day")
    assert changed != archive
    assert not archive.exists()
    assert _files(changed)["greeting"] == b"good day\n"
