"""Follows the mounted Secrets: the kubelet refreshes them, and what changed is in force within a second of that."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from heterollm_agent.directory import PolicyDirectory
from heterollm_agent.keys import (
    CLIENTS_FILE,
    ENGINE_FILE,
    client_filter,
    engine_filter,
    read_client_keys,
    read_engine_key,
)
from heterollm_agent.settings import Settings

__all__ = ["Secrets"]

_log = logging.getLogger(__name__)
_PERIOD = 1.0
"""Seconds between two looks: the kubelet tells nobody, and reading a few small files in memory costs nothing."""


class Secrets(threading.Thread):
    """Writes Envoy's key filters, at once when made and then whenever a Secret has changed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="secrets", daemon=True)
        self._client_keys = settings.client_keys
        self._engine_key = settings.engine_key
        self._directory = PolicyDirectory(settings.keys_dir)
        self._keys: dict[str, str] = {}
        self.failures = 0
        """Times that a mounted Secret could not be read (number)."""
        self.look()

    @property
    def clients(self) -> int:
        """Client keys in force (number)."""
        return len(self._keys)

    def run(self) -> None:
        while True:
            time.sleep(_PERIOD)
            self.look()

    def look(self) -> None:
        """Read the Secrets. What cannot be read stays as it was, and lets nobody in if it never was."""
        if self._client_keys is None:
            self._directory.write(CLIENTS_FILE, client_filter(None))
        else:
            self._look_at_clients(self._client_keys)
        self._look_at_engines(self._engine_key)

    def _look_at_clients(self, mount: Path) -> None:
        try:
            self._keys = read_client_keys(mount)
        except OSError as error:
            self._failed(error)
        self._directory.write(CLIENTS_FILE, client_filter(self._keys))

    def _look_at_engines(self, path: Path | None) -> None:
        try:
            key = None if path is None else read_engine_key(path)
        except OSError as error:
            self._failed(error)
        else:
            self._directory.write(ENGINE_FILE, engine_filter(key))

    def _failed(self, error: OSError) -> None:
        self.failures += 1
        _log.error("a mounted Secret cannot be read: %s", error)
