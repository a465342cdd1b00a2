"""Turns mounted Secrets with API keys into the filters that Envoy reads: one for clients, one for the engines.

Where keys are mounted, a client without one of them is refused, also when there is none or the mount cannot be read:
what the policy says does not matter, so no stale policy can open a router. The kubelet refreshes the mounts; a change
is in effect within a second of that.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from heterollm_agent.settings import Settings
from heterollm_agent.xds_directory import XdsDirectory

__all__ = ["CLIENTS_FILE", "ENGINE_FILE", "SecretMounts", "client_filter", "engine_filter"]

CLIENTS_FILE = "keys.json"
ENGINE_FILE = "engine-key.json"
"""Names under which Envoy reads the filters."""

_log = logging.getLogger(__name__)
_PERIOD = 1.0
"""Seconds between two reads: the kubelet sends no event, and a few small files in memory cost nothing."""
_TYPES = "type.googleapis.com/"
_MUTATION = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
_AUTH = "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth"
_CLIENT_HEADER = "x-llm-client"


class SecretMounts(threading.Thread):
    """Writes Envoy's key filters: once when created, then whenever a mounted Secret has changed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="secret mounts", daemon=True)
        self._client_keys_dir = settings.client_keys
        self._engine_key_file = settings.engine_key
        self._directory = XdsDirectory(settings.keys_dir)
        self._client_keys: dict[str, str] = {}
        self.failures = 0
        """Times that a mounted Secret could not be read (number)."""
        self._update()

    @property
    def clients(self) -> int:
        """Client keys in effect (number)."""
        return len(self._client_keys)

    def run(self) -> None:
        while True:
            time.sleep(_PERIOD)
            self._update()

    def _update(self) -> None:
        """Rewrite the filters. A Secret that cannot be read changes nothing, and admits nobody if it never was read."""
        self._update_client_filter(self._client_keys_dir)
        self._update_engine_filter(self._engine_key_file)

    def _update_client_filter(self, mount: Path | None) -> None:
        if mount is None:
            self._directory.write(CLIENTS_FILE, client_filter(None))
            return
        try:
            self._client_keys = _read_client_keys(mount)
        except OSError as error:
            self._count_failure(error)
        self._directory.write(CLIENTS_FILE, client_filter(self._client_keys))

    def _update_engine_filter(self, path: Path | None) -> None:
        try:
            key = None if path is None else _read_key(path) or None
        except OSError as error:
            self._count_failure(error)
        else:
            self._directory.write(ENGINE_FILE, engine_filter(key))

    def _count_failure(self, error: OSError) -> None:
        self.failures += 1
        _log.error("a mounted Secret cannot be read: %s", error)


def client_filter(keys: Mapping[str, str] | None) -> str:
    """Render the filter that admits clients with a key, names the client, and hides the key from engines.

    None admits everybody.
    """
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
    """Render the filter that sends engines the key they ask for. None: what the client has sent."""
    changes = []
    if key is not None:
        header = {"key": "authorization", "value": f"Bearer {key}"}
        changes.append({"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}})
    return _extension("engine-key", {"@type": _TYPES + _MUTATION, "mutations": {"request_mutations": changes}})


def _read_client_keys(mount: Path) -> dict[str, str]:
    """Read the key of each client, by the client's name. A key that two clients share belongs to the first by name."""
    keys: dict[str, str] = {}
    for path in sorted(mount.iterdir()):
        # The kubelet's own links begin with dots.
        if path.name.startswith(".") or not path.is_file():
            continue
        key = _read_key(path)
        if not key or key in keys.values():
            _log.error("the API key of %s is %s", path.name, "another client's too" if key else "no text")
            continue
        keys[path.name] = key
    return keys


def _read_key(path: Path) -> str:
    """Read a key without the line end that many tools leave; what is not visible ASCII cannot be sent: empty."""
    text = path.read_bytes().strip().decode("ascii", errors="replace")
    return text if text.isascii() and text.isprintable() else ""


def _extension(name: str, config: Mapping[str, object]) -> str:
    kind = _TYPES + "envoy.config.core.v3.TypedExtensionConfig"
    resource = {"@type": kind, "name": name, "typed_config": config}
    return json.dumps({"type_url": kind, "resources": [resource]})
