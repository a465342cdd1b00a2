"""Names of images, in the full form that containerd and Kubernetes compare."""

from __future__ import annotations

__all__ = ["normalized"]


def normalized(name: str) -> str:
    """Return an image's full name: the default registry and tag are added where the short form leaves them out."""
    first, slash, _ = name.partition("/")
    has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    if not has_registry:
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    has_tag = ":" in name.rpartition("/")[2]
    return name if has_tag else f"{name}:latest"
