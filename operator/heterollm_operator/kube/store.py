"""What the watches hold: the last known body of every cluster and child, found by cluster."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, WATCHED, Kind, Scope, find

__all__ = ["Body", "Key", "Store"]

Body = Mapping[str, Any]

_TOMBSTONES = 4096
"""Deletions remembered, so that a late answer to a write does not bring a deleted object back."""


class Key(NamedTuple):
    """A cluster, existing or not."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class _Ref(NamedTuple):
    kind: Kind
    namespace: str
    name: str


class _Entry(NamedTuple):
    """A body, packed: as Python objects it would take 25 KiB instead of 2, and it is read once per reconcile only."""

    version: int
    key: Key | None
    packed: bytes


class Store:
    """An index of our own. Every body is put or removed once per version, in whatever order the news arrive."""

    def __init__(self, on_change: Callable[[Key], None]) -> None:
        """`on_change` is told of every cluster whose body or children changed."""
        self._on_change = on_change
        self._entries: dict[Kind, dict[tuple[str, str], _Entry]] = {kind: {} for kind in WATCHED}
        self._by_key: dict[Key, set[_Ref]] = {}
        self._tombstones: OrderedDict[_Ref, int] = OrderedDict()

    def put(self, body: Body) -> None:
        """Take note of an object, unless the same or a newer version is known."""
        ref, version, key = _ref(body), _version(body), _key(body)
        old = self._entry(ref)
        if version <= max(old.version if old else 0, self._tombstones.get(ref, 0)):
            return
        if old is not None and old.key != key:
            self._unlink(ref, old.key)
        self._entries[ref.kind][ref.namespace, ref.name] = _Entry(version, key, _pack(body))
        if key is not None:
            self._by_key.setdefault(key, set()).add(ref)
            self._on_change(key)

    def remove(self, body: Body) -> None:
        """Take note of a deletion. `body` is the last state, with the deletion's resourceVersion."""
        self._remove(_ref(body), _version(body))

    def replace(self, scope: Scope, bodies: Iterable[Body], version: int) -> None:
        """Take note of a complete listing of a scope made at `version`: what it lacks is gone, unless it is newer."""
        listed = set()
        for body in bodies:
            listed.add((body["metadata"]["namespace"], body["metadata"]["name"]))
            self.put(body)
        for where in self._entries[scope.kind].keys() - listed:
            if scope.namespace in (None, where[0]):
                self._remove(_Ref(scope.kind, *where), version)

    def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """One object, or None when no watch holds it."""
        entry = self._entry(_Ref(kind, namespace, name))
        return _unpack(entry) if entry is not None else None

    def children(self, key: Key) -> tuple[Body, ...]:
        """Every live object that carries the cluster's labels, in a stable order."""
        refs = sorted(ref for ref in self._by_key.get(key, ()) if ref.kind != CLUSTER)
        return tuple(_unpack(self._entries[ref.kind][ref.namespace, ref.name]) for ref in refs)

    def clusters(self) -> list[Key]:
        """All clusters that exist."""
        return [Key(*where) for where in self._entries[CLUSTER]]

    def _entry(self, ref: _Ref) -> _Entry | None:
        return self._entries[ref.kind].get((ref.namespace, ref.name))

    def _remove(self, ref: _Ref, version: int) -> None:
        self._bury(ref, version)
        old = self._entry(ref)
        if old is not None and old.version <= version:
            del self._entries[ref.kind][ref.namespace, ref.name]
            self._unlink(ref, old.key)

    def _unlink(self, ref: _Ref, key: Key | None) -> None:
        if key is None:
            return
        refs = self._by_key[key]
        refs.discard(ref)
        if not refs:
            del self._by_key[key]
        self._on_change(key)

    def _bury(self, ref: _Ref, version: int) -> None:
        self._tombstones[ref] = max(version, self._tombstones.pop(ref, 0))
        if len(self._tombstones) > _TOMBSTONES:
            self._tombstones.popitem(last=False)


def _ref(body: Body) -> _Ref:
    metadata = body["metadata"]
    return _Ref(find(body["apiVersion"], body["kind"]), metadata["namespace"], metadata["name"])


def _version(body: Body) -> int:
    """Versions of one resource can be compared as numbers (documented since Kubernetes 1.35, true since ever)."""
    return int(body["metadata"]["resourceVersion"])


def _key(body: Body) -> Key | None:
    """The cluster a body is about; None for a child that does not name one."""
    metadata = body["metadata"]
    if body["kind"] == names.KIND:
        return Key(metadata["namespace"], metadata["name"])
    cluster = (metadata.get("labels") or {}).get(names.CLUSTER)
    return Key(metadata["namespace"], cluster) if cluster else None


def _pack(body: Body) -> bytes:
    """Without managedFields: half of an object's size, and nobody reads it."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return zlib.compress(json.dumps({**body, "metadata": metadata}).encode(), level=1)


def _unpack(entry: _Entry) -> Body:
    body: dict[str, Any] = json.loads(zlib.decompress(entry.packed))
    return body
