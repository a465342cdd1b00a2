"""Clusters from files, for the commands that work without a Kubernetes cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from heterollm_controllers.api import names
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec

__all__ = ["Files", "Unusable", "read_files"]


class Unusable(Exception):
    """Input that cannot be worked with; the message says where and why."""


@dataclass(frozen=True)
class Files:
    """What some files hold: clusters with their parsed specs, and the ConfigMaps beside them."""

    clusters: tuple[tuple[dict[str, Any], HeteroLLMClusterSpec], ...]
    config_maps: tuple[dict[str, Any], ...]


def read_files(paths: Sequence[str]) -> Files:
    """The HeteroLLMClusters and ConfigMaps of YAML or JSON files; "-" is standard input.

    Raises:
        Unusable: a file that cannot be read or parsed, a spec that the schema refuses, or no cluster at all.
    """
    documents = [document for path in paths for document in _documents(path)]
    clusters = [item for item in documents if item.get("kind") == names.KIND]
    if not clusters:
        raise Unusable(f"no {names.KIND} in {', '.join(paths)}")
    config_maps = tuple(item for item in documents if item.get("kind") == "ConfigMap")
    return Files(tuple((item, _spec(item)) for item in clusters), config_maps)


def _documents(path: str) -> Iterator[dict[str, Any]]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Unusable(f"{path}: {error}") from None
    for document in documents:
        if isinstance(document, dict):
            yield from document.get("items") or [document] if document.get("kind") == "List" else [document]


def _spec(manifest: dict[str, Any]) -> HeteroLLMClusterSpec:
    name = (manifest.get("metadata") or {}).get("name")
    if not name:
        raise Unusable(f"a {names.KIND} without metadata.name")
    try:
        return HeteroLLMClusterSpec.model_validate(manifest.get("spec") or {}, extra="forbid")
    except ValidationError as error:
        problems = [f"  {_place(item['loc'])}: {item['msg']}" for item in error.errors()]
        raise Unusable("\n".join([f"{names.KIND} {name}: the spec is not valid", *problems])) from None


def _place(path: tuple[int | str, ...]) -> str:
    """A field, without pydantic's marks for the kinds that an object may be of."""
    return ".".join(str(part) for part in path if not str(part).startswith("<"))
