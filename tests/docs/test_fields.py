"""Every field of a cluster that a page names is in the CRD."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.docs.repository import ROOT, pages

_CRD = yaml.safe_load((ROOT / "crds" / "heterollmclusters.yaml").read_text(encoding="utf-8"))
_CLUSTER = _CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
_SPEC, _STATUS = (_CLUSTER["properties"][part] for part in ("spec", "status"))
_TIER = _SPEC["properties"]["tiers"]
# Pages name fields as their readers meet them: within the cluster, the spec, a tier, or a part of the status.
_ROOTS = (_CLUSTER, _SPEC, _TIER, _STATUS, _STATUS["properties"]["tiers"], _STATUS["properties"]["tiers"]["items"])
_PATH = re.compile(r"`((?:[a-z][A-Za-z]*(?:\[\])?\.)+[a-z][A-Za-z]*(?:\[\])?)(?=[:`])")
_FILES = {"py", "md", "rs", "yaml", "yml", "json", "txt", "sh", "svg", "tpl", "toml", "in", "html", "csv"}


def _named() -> Iterator[tuple[str, str]]:
    """Page and path of every field named by a path that begins with a field of ours."""
    beginnings = {name for root in _ROOTS for name in _fields(root)}
    for page in pages():
        for path in _PATH.findall(page.read_text(encoding="utf-8")):
            first, last = re.split(r"\[\]|\.", path)[0], path.rpartition(".")[2]
            if first in beginnings and last not in _FILES:
                yield page.name, path


def _fields(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("items", schema).get("properties", {})
    return found


def _exists(path: str) -> bool:
    return any(_leads(path.replace("[]", "").split("."), root) for root in _ROOTS)


def _leads(names: list[str], schema: dict[str, Any]) -> bool:
    for name in names:
        if not _fields(schema):
            # Free form, as a pod template, or metadata, which is Kubernetes' own.
            return "properties" not in schema and schema.get("type", "object") == "object"
        if name not in _fields(schema):
            return False
        schema = _fields(schema)[name]
    return True


def test_fields_named_in_pages_exist() -> None:
    named = set(_named())
    assert len(named) > 100
    assert sorted((page, path) for page, path in named if not _exists(path)) == []
