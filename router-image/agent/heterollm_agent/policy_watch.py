"""Watches the policy's ConfigMap at the API server, and starts from the mounted copy of it."""

from __future__ import annotations

import http.client
import json
import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, urlencode

from heterollm_agent.policy import Policy, parse, seed_from_mount
from heterollm_agent.policy_store import PolicyStore
from heterollm_agent.settings import Settings

__all__ = ["PolicyWatch", "WatchEnded", "configmaps", "policy_from_configmap"]

_log = logging.getLogger(__name__)
_WATCH_LENGTH = 300
"""Seconds after which the API server ends a watch, so that rotated tokens and moved servers are picked up."""
_SILENCE = 60.0
"""Seconds a watch may be silent beyond its length before the connection is given up."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
"""Seconds between two attempts to reach the API server, doubling, with jitter."""


class WatchEnded(OSError):
    """The API server refused or ended the watch abnormally."""


class PolicyWatch(threading.Thread):
    """Offers the store every policy: the mounted one first, then the API server's; again after each failure."""

    def __init__(self, settings: Settings, store: PolicyStore) -> None:
        super().__init__(name="policy watch", daemon=True)
        self._settings = settings
        self._store = store
        self._last_event = time.monotonic()
        self.opened = 0
        """Watches opened since the start (number)."""

    def age(self) -> float:
        """Seconds since the API server last sent something (or since the start, if it never did)."""
        return time.monotonic() - self._last_event

    def run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            self._store.offer_seed(partial(seed_from_mount, self._settings.seed_dir, tls=self._settings.tls))
            last_event = self._last_event
            self._store.prune_when_due()
            try:
                self._watch_once()
            except OSError as error:
                _log.warning("policy watch: %s", error)
            pause = _FIRST_PAUSE if self._last_event != last_event else min(2 * pause, _LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.0))

    def _watch_once(self) -> None:
        self.opened += 1
        for configmap in configmaps(self._settings):
            self._last_event = time.monotonic()
            if configmap is not None:
                self._store.offer_watched(partial(policy_from_configmap, configmap, tls=self._settings.tls))
            # The API server sends a bookmark every minute.
            self._store.prune_when_due()


def configmaps(settings: Settings) -> Iterator[dict[str, object] | None]:
    """Open one watch and yield each state of the ConfigMap, None for any other event, until the API server ends it.

    Without a resourceVersion the API server sends the current state first, consistently: no list, nothing to expire.
    Raises WatchEnded, or OSError when the API server cannot be reached.
    """
    query = {
        "fieldSelector": f"metadata.name={settings.configmap}",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(_WATCH_LENGTH),
    }
    path = f"{settings.api.path}/api/v1/namespaces/{quote(settings.namespace)}/configmaps?{urlencode(query)}"
    connection = _connect(settings)
    try:
        connection.request("GET", path, headers=_headers(settings))
        answer = connection.getresponse()
        if answer.status != 200:
            raise WatchEnded(f"the API server answered {answer.status}: {answer.read(500).decode(errors='replace')}")
        yield None
        while line := answer.readline():
            yield _configmap(json.loads(line), settings.configmap)
    except (http.client.HTTPException, ValueError) as error:
        raise WatchEnded(f"the watch broke: {error}") from error
    finally:
        connection.close()


def policy_from_configmap(configmap: dict[str, object], *, tls: bool = False) -> Policy:
    """Parse the policy that a watched ConfigMap holds; raises MalformedPolicy."""
    data, metadata = configmap.get("data"), configmap.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return parse(data if isinstance(data, dict) else {}, uid, tls=tls)


def _configmap(event: dict[str, object], name: str) -> dict[str, object] | None:
    """The ConfigMap of an event. A deleted one counts as none: the last policy stays in effect until another comes."""
    found = event.get("object")
    if event.get("type") == "ERROR":
        raise WatchEnded(f"the API server ended the watch: {found}")
    if event.get("type") not in ("ADDED", "MODIFIED") or not isinstance(found, dict):
        return None
    metadata = found.get("metadata")
    return found if isinstance(metadata, dict) and metadata.get("name") == name else None


def _headers(settings: Settings) -> dict[str, str]:
    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return {}
    return {"Authorization": f"Bearer {token}"}


def _connect(settings: Settings) -> http.client.HTTPConnection:
    api, silence = settings.api, _WATCH_LENGTH + _SILENCE
    host = api.hostname or ""
    if api.scheme == "http":
        connection = http.client.HTTPConnection(host, api.port, timeout=silence)
    else:
        trust = ssl.create_default_context(cafile=str(settings.ca_file))
        connection = http.client.HTTPSConnection(host, api.port, timeout=silence, context=trust)
    connection.connect()
    _enable_keepalive(connection.sock)
    return connection


def _enable_keepalive(sock: socket.socket) -> None:
    """Detect a peer that vanished without closing, after about 25 s."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
