"""The form in which Envoy reads dynamic resources from a file."""

from __future__ import annotations

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


def discovery_response(kind: str, version: int, resources: Sequence[Mapping[str, object]]) -> str:
    """Text of a resource file: equal input gives equal text."""
    response = {
        "version_info": str(version),
        "type_url": _TYPES + kind,
        "resources": [{"@type": _TYPES + kind, **resource} for resource in resources],
    }
    return json.dumps(response, sort_keys=True, separators=(",", ":")) + "\n"
