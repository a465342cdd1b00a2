"""Import image archives into the node's containerd."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.images.reference import normalized
from e2e.cluster.node.daemons import Daemons
from e2e.cluster.node.errors import NodeError

__all__ = ["load_archive"]

_CTR = ("ctr", "--namespace", "k8s.io", "images")


@dataclass(frozen=True)
class _Archive:
    """What a docker archive of one image says about itself."""

    config_digest: str
    names: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> _Archive:
        try:
            with tarfile.open(path) as tar:
                manifest_file = tar.extractfile("manifest.json")
                if manifest_file is None:
                    raise KeyError("manifest.json")
                (image,) = json.load(manifest_file)
        except (OSError, tarfile.TarError, KeyError, ValueError) as error:
            raise NodeError(f"{path} is no docker archive of one image: {error}") from error
        names = tuple(normalized(name) for name in image["RepoTags"])
        return cls(f"sha256:{Path(image['Config']).stem}", names)


def load_archive(daemons: Daemons, path: Path) -> bool:
    """Import the image of a docker archive; return False when the node has this very image by this name already."""
    archive = _Archive.read(path)
    present = _images(daemons)
    # Kubernetes' part of containerd lists each image once more, by the digest of its configuration.
    known = present.get(archive.config_digest)
    if known is not None and all(present.get(name) == known for name in archive.names):
        return False
    with path.open("rb") as content:
        # Through standard input, as the path may mean another file in the cluster's view of the machine.
        daemons.run([*_CTR, "import", "-"], stdin=content)
    return True


def _images(daemons: Daemons) -> dict[str, str]:
    """Return the digests of the node's images by name."""
    lines = daemons.run([*_CTR, "list"]).splitlines()[1:]
    return {fields[0]: fields[2] for fields in (line.split() for line in lines) if len(fields) > 2}
