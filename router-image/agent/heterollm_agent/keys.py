"""API keys: the mounted Secrets as the two filters that Envoy reads, one for clients' keys and one for the engines'.

Where keys are mounted, a client without one of them is refused, also when there is none or the mount cannot be read:
what the policy says does not matter, so no stale policy can open a router.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CLIENTS_FILE", "ENGINE_FILE", "client_filter", "engine_filter", "read_client_keys", "read_engine_key"]

CLIENTS_FILE = "keys.json"
ENGINE_FILE = "engine-key.json"
"""Names under which Envoy reads the filters."""

_log = logging.getLogger(__name__)
_TYPES = "type.googleapis.com/"
_MUTATION = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
_AUTH = "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth"
_CLIENT_HEADER = "x-llm-client"


def read_client_keys(mount: Path) -> dict[str, str]:
    """Key of each client, by the client's name. A key that two clients have belongs to the first by name."""
    keys: dict[str, str] = {}
    for path in sorted(mount.iterdir()):
        # The kubelet's own links begin with dots.
        if path.name.startswith(".") or not path.is_file():
            continue
        key = _text(path)
        if not key or key in keys.values():
            _log.error("the API key of %s is %s", path.name, "another client's too" if key else "no text")
            continue
        keys[path.name] = key
    return keys


def read_engine_key(path: Path) -> str | None:
    """What engines ask for; None when it is empty."""
    return _text(path) or None


def client_filter(keys: Mapping[str, str] | None) -> str:
    """Lets in who has a key, tells who it was, and keeps the key from the engines. None: lets in everybody."""
    if keys is None:
        return _extension("keys", {"@type": _TYPES + _MUTATION, "mutations": {}})
    config = {
        "@type": _TYPES + _AUTH,
        "credentials": [{"key": key, "client": name} for name, key in keys.items()],
        "key_sources": [{"header": "authorization"}],
        "forwarding": {"header": _CLIENT_HEADER, "hide_credentials": True},
    }
    return _extension("keys", config)


def engine_filter(key: str | None) -> str:
    """Shows the engines the key they ask for. None: shows what the client has sent."""
    changes = []
    if key is not None:
        header = {"key": "authorization", "value": f"Bearer {key}"}
        changes.append({"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}})
    return _extension("engine-key", {"@type": _TYPES + _MUTATION, "mutations": {"request_mutations": changes}})


def _text(path: Path) -> str:
    """Without the line end that many a tool leaves; what is no visible ASCII cannot be sent and counts as empty."""
    text = path.read_bytes().strip().decode("ascii", errors="replace")
    return text if text.isascii() and text.isprintable() else ""


def _extension(name: str, config: Mapping[str, object]) -> str:
    kind = _TYPES + "envoy.config.core.v3.TypedExtensionConfig"
    resource = {"@type": kind, "name": name, "typed_config": config}
    return json.dumps({"type_url": kind, "resources": [resource]})
