"""The ConfigMap as the API server tells it: one watch on one object, renewed for ever."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from heterollm_agent.policy import Policy, parse
from heterollm_agent.settings import Settings

__all__ = ["WatchEnded", "policy_of", "watch"]

_LENGTH = 300
"""Seconds after which the API server ends a watch, so that rotated tokens and moved servers are picked up."""
_SILENCE = 60.0
"""Seconds a watch may be silent beyond its length before the connection is given up."""


class WatchEnded(OSError):
    """The API server refused or ended the watch abnormally."""


def watch(settings: Settings) -> Iterator[dict[str, object] | None]:
    """ConfigMaps as they are, from one connection; None for a sign of life. Ends when the API server ends the watch.

    Without a resourceVersion the API server first tells the present state, consistently: no list, nothing to expire.
    """
    query = {
        "fieldSelector": f"metadata.name={settings.configmap}",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(_LENGTH),
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


def policy_of(configmap: dict[str, object], *, tls: bool = False) -> Policy:
    """The policy a watched ConfigMap holds."""
    data, metadata = configmap.get("data"), configmap.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return parse(data if isinstance(data, dict) else {}, uid, tls=tls)


def _configmap(event: dict[str, object], name: str) -> dict[str, object] | None:
    """The object of an event. A deleted one is no news: the last policy stays in force until there is another."""
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
    api, silence = settings.api, _LENGTH + _SILENCE
    host = api.hostname or ""
    if api.scheme == "http":
        connection = http.client.HTTPConnection(host, api.port, timeout=silence)
    else:
        trust = ssl.create_default_context(cafile=str(settings.ca_file))
        connection = http.client.HTTPSConnection(host, api.port, timeout=silence, context=trust)
    connection.connect()
    _notice_death(connection.sock)
    return connection


def _notice_death(sock: socket.socket) -> None:
    """A peer that vanished without a word is noticed after about 25 s."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
