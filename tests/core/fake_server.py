"""An API server in memory: what the core's outcomes meet, small enough to reason about.

It knows server-side apply with one manager of ours beside others' edits, defaults, immutable fields, generations,
resource versions, deletion with grace and foreground deletion. It counts writes.

It knows no HTTP: a test says with `rejects` what it refuses, and with `refuses_as` what the shell would make of that
answer. What a real server answers, and what the shell makes of it, is in tests/apiserver/test_refused_dry_runs.py.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.reconcile.contract import Refusal

__all__ = ["Body", "Conflict", "Invalid", "Server"]

Body = dict[str, Any]
Key = tuple[str, str]


class Conflict(Exception):
    """The resourceVersion or uid is not the live one."""


class Invalid(Exception):
    """The API server refuses the object; the message says why."""


_LIST_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ownerReferences": "uid",
    "ports": "name",
}
_OMITTED_WHEN_EMPTY = {
    "nodeSelector",
    "tolerations",
    "args",
    "command",
    "env",
    "labels",
    "annotations",
    "value",
    "ports",
}


class Server:
    """The objects of one namespace."""

    def __init__(self, first_uid: int = 1) -> None:
        self.objects: dict[Key, Body] = {}
        self.writes: list[str] = []
        """Every request that would change something: "verb Kind name"."""
        self.rejects: Callable[[Body], str | None] = lambda _: None
        """Why a manifest is refused, beyond what this server knows itself."""
        self.refuses_as = Reason.POD_TEMPLATE_INVALID
        self.dry_runs = 0
        self._applied: dict[str, Body] = {}
        self.now = "2026-01-01T00:00:00Z"
        self.version = 0
        """Grows with every change of any object."""
        self._uids = itertools.count(first_uid)

    def get(self, kind: str, name: str) -> Body | None:
        """The live object itself; readers copy."""
        return self.objects.get((kind, name))

    def of_kind(self, kind: str) -> list[Body]:
        """Live objects of one kind, by name."""
        return [body for (other, _), body in sorted(self.objects.items()) if other == kind]

    def create(self, body: Body) -> Body:
        """An object made by somebody else than the operator."""
        key = body["kind"], body["metadata"]["name"]
        if key in self.objects:
            raise Conflict(f"{key} exists")
        made = _copied(body)
        made["metadata"] |= {"uid": f"uid-{next(self._uids)}", "generation": 1, "namespace": "team"}
        made["metadata"]["creationTimestamp"] = self.now
        self._store(key, made)
        return self.objects[key]

    def edit(self, kind: str, name: str, change: Callable[[Body], None]) -> None:
        """An edit by somebody else; a changed spec is a new generation."""
        live = self.objects[kind, name]
        body = _copied(live)
        change(body)
        if body == live:
            return
        if body.get("spec") != live.get("spec"):
            body["metadata"]["generation"] += 1
        self._store((kind, name), body)

    def copy(self) -> Server:
        """A server that goes on from here on its own; bodies are shared, as nobody changes them."""
        other = copy.copy(self)
        other.objects, other.writes, other._applied = dict(self.objects), [*self.writes], dict(self._applied)
        other._uids = copy.copy(self._uids)
        return other

    # --- requests of the operator

    def dry_run(self, manifest: Body) -> Refusal | None:
        """Whether the server would take the manifest: None, or why not."""
        self.dry_runs += 1
        why = self.rejects(manifest)
        return Refusal(self.refuses_as, why) if why is not None else None

    def apply(self, manifest: Body) -> Body:
        """Server-side apply, forced, by the operator."""
        key = manifest["kind"], manifest["metadata"]["name"]
        self.writes.append(f"apply {key[0]} {key[1]}")
        why = self.rejects(manifest)
        if why is not None:
            raise Invalid(why)
        wanted = _stored(manifest)
        if key[0] == "ControllerRevision":
            wanted["data"] = _copied(manifest["data"])  # of no type that the server knows
        live = self.objects.get(key)
        if live is None:
            return self._applied_as(self.create(_defaulted(wanted)), wanted)
        merged = _defaulted(_merge(live, self._applied.get(live["metadata"]["uid"], {}), wanted))
        _check_immutable(live, merged)
        if merged.get("spec") != live.get("spec"):
            merged["metadata"]["generation"] += 1
        if merged != live:
            self._store(key, merged)
        return self._applied_as(merged, wanted)

    def write_status(self, observed: Body, status: Body) -> None:
        """Replace the status of the cluster, if it is as it was observed."""
        self.writes.append(f"status {observed['kind']} {observed['metadata']['name']}")
        self.fence(observed)
        key = observed["kind"], observed["metadata"]["name"]
        self._store(key, {**self.objects[key], "status": _copied(status)})

    def fence(self, observed: Body) -> None:
        """Conflict unless the object is as it was observed."""
        live = self.objects.get((observed["kind"], observed["metadata"]["name"]))
        if live is None or live["metadata"]["resourceVersion"] != observed["metadata"]["resourceVersion"]:
            raise Conflict(f"{observed['metadata']['name']} has changed")

    def delete(
        self, kind: str, name: str, uid: str | None = None, grace: int | None = None, foreground: bool = False
    ) -> None:
        """Delete; one that is gone or was made anew counts as deleted. Pods take their grace, given in ticks here."""
        live = self.objects.get((kind, name))
        if uid is not None:
            self.writes.append(f"delete {kind} {name}")
        if live is None or uid not in (None, live["metadata"]["uid"]):
            return
        if kind != "Pod" and not foreground:
            self.remove(kind, name)
            return
        marked = {**live, "metadata": dict(live["metadata"])}
        marked["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
        if kind == "Pod":
            asked = 2 if grace is None else 1
            marked["metadata"]["deletionGracePeriodSeconds"] = min(
                asked, live["metadata"].get("deletionGracePeriodSeconds", asked)
            )
        self._store((kind, name), marked)

    def remove(self, kind: str, name: str) -> None:
        """The object is gone for good."""
        body = self.objects.pop((kind, name))
        self._applied.pop(body["metadata"]["uid"], None)
        self.version += 1

    def update_status(self, body: Body, status: Body) -> None:
        """A controller's or the kubelet's report."""
        key = body["kind"], body["metadata"]["name"]
        if self.objects[key].get("status") != status:
            self._store(key, {**self.objects[key], "status": status})

    def _applied_as(self, live: Body, wanted: Body) -> Body:
        self._applied[live["metadata"]["uid"]] = wanted
        return live

    def _store(self, key: Key, body: Body) -> None:
        # Stored bodies are never changed in place: earlier ones serve as stale views.
        self.version += 1
        self.objects[key] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}


def _copied(body: Body) -> Body:
    copied = json.loads(json.dumps(body))
    assert isinstance(copied, dict)
    return copied


def _merge(live: Any, before: Any, wanted: Any, field: str = "") -> Any:
    """What we no longer want goes, what we want is set, what others own stays."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        before = before if isinstance(before, dict) else {}
        kept = {key: value for key, value in live.items() if key in wanted or key not in before}
        return kept | {
            key: _merge(kept.get(key), before.get(key), value, key) if key in kept else value
            for key, value in wanted.items()
        }
    key = _LIST_KEYS.get(field)
    if key is not None and isinstance(live, list) and all(key in item for item in wanted):
        mine = {item[key]: item for item in before or []}
        items = {item[key]: item for item in live}
        for item in wanted:
            items[item[key]] = _merge(items.get(item[key]), mine.get(item[key]), item)
        names = {item[key] for item in wanted}
        return [item for name, item in items.items() if name in names or name not in mine]
    return wanted


def _stored(value: Any) -> Any:
    """As the API server writes it: nothing empty where that means nothing, quantities in its own spelling."""
    if isinstance(value, dict):
        items = {key: _stored(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item not in ({}, [], "") or key not in _OMITTED_WHEN_EMPTY}
    if isinstance(value, list):
        return [_stored(item) for item in value]
    return {"1024Mi": "1Gi", "0.5": "500m"}.get(value, value) if isinstance(value, str) else value


def _defaulted(body: Body) -> Body:
    """With the defaults that touch what we compare."""
    body = _copied(body)
    spec = body.get("spec", {})
    if body["kind"] == "Service":
        spec.setdefault("clusterIP", "10.96.0.1")
        spec.setdefault("sessionAffinity", "None")
        for port in spec["ports"]:
            port.setdefault("protocol", "TCP")
    if body["kind"] in ("StatefulSet", "Deployment"):
        spec.setdefault("revisionHistoryLimit", 10)
        pod = spec["template"]["spec"]
        for field, value in {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}.items():
            pod.setdefault(field, value)
        for container in pod["containers"]:
            container.setdefault("terminationMessagePath", "/dev/termination-log")
            for port in container.get("ports", []):
                port.setdefault("protocol", "TCP")
            for variable in container.get("env", []):
                if "fieldRef" in variable.get("valueFrom", {}):
                    variable["valueFrom"]["fieldRef"].setdefault("apiVersion", "v1")
    return body


def _check_immutable(live: Body, merged: Body) -> None:
    if live["kind"] == "ControllerRevision" and live["data"] != merged["data"]:
        raise Invalid("data is immutable")
    if live["kind"] == "StatefulSet":
        mutable = {"replicas", "template", "updateStrategy", "revisionHistoryLimit"}
        for field in {*live["spec"], *merged["spec"]} - mutable:
            if live["spec"].get(field) != merged["spec"].get(field):
                raise Invalid(f"spec.{field} is immutable")
