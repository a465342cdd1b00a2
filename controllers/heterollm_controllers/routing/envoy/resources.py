"""The form in which Envoy reads dynamic resources from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

__all__ = ["Json", "config_source", "discovery_response", "typed"]

Json = dict[str, object]

_TYPES = "type.googleapis.com/"


def typed(kind: str, **fields: object) -> Json:
    """A message that names its own type."""
    return {"@type": _TYPES + kind, **fields}


def config_source(path: str) -> Json:
    """Resources in a file that is replaced as a whole."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def discovery_response(kind: str, resources: Sequence[Mapping[str, object]], version: int | None = None) -> str:
    """Text of a resource file: equal input gives equal text.

    Without a version of its own a file is named by its content, so that policies that agree in it have the same file:
    what has not changed is neither written nor read again.
    """
    typed_resources = [{"@type": _TYPES + kind, **resource} for resource in resources]
    response = {
        "version_info": str(version) if version is not None else _digest(typed_resources),
        "type_url": _TYPES + kind,
        "resources": typed_resources,
    }
    return _text(response) + "\n"


def _digest(value: object) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
