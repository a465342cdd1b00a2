"""The image of the container that holds a pod's namespaces: one static program of our own."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from e2e.cluster.node.containerd import SANDBOX_IMAGE

__all__ = ["write_pause_archive"]


def write_pause_archive(binary: Path, archive: Path) -> None:
    """Write the docker archive of the sandbox image, with `binary` as its only file."""
    layer = _tar({"pause": binary.read_bytes()})
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    config = json.dumps(configuration).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [SANDBOX_IMAGE], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), config_name: config, "layer.tar": layer}
    archive.write_bytes(_tar(files))


def _tar(files: dict[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return output.getvalue()
