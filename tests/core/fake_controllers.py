"""The StatefulSet and Deployment controllers, the garbage collector and the kubelet, in ticks instead of seconds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from heterollm_controllers.api import names
from tests.core.fake_server import Body, Server

__all__ = ["START_TICKS", "Controllers"]

START_TICKS = 2
"""From a pod's creation until it is ready."""


class Controllers:
    """Everything in a cluster that moves by itself."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.works: Callable[[Body], bool] = lambda pod: "broken" not in pod["spec"]["containers"][0]["image"]
        """Whether a pod ever becomes ready."""
        self.fits: Callable[[Body], bool] = lambda pod: True
        """Whether a pod that has no node finds one."""
        self.turn: Callable[[Body], Any] = lambda pod: pod["metadata"]["name"]
        """By what the scheduler orders pods."""
        self.routers_start = True
        self._ages: dict[str, int] = {}
        self._formed: list[frozenset[tuple[str, int]]] = []
        self._addresses = 0

    def copy(self, server: Server) -> Controllers:
        """The same for a copy of the server."""
        other = copy.copy(self)
        other.server, other._ages, other._formed = server, dict(self._ages), [*self._formed]
        return other

    def tick(self) -> None:
        """One round of everything."""
        self._collect_garbage()
        for item in self.server.of_kind("StatefulSet"):
            self._stateful_set(item)
        for item in self.server.of_kind("Deployment"):
            self._deployment(item)
        for pod in sorted(self.server.of_kind("Pod"), key=self.turn):
            self._schedule(pod)
        for pod in self.server.of_kind("Pod"):
            self._kubelet(pod)

    def crash(self, name: str) -> None:
        """A container of the pod ends and is started again in place."""
        pod = self.server.objects["Pod", name]
        self._ages[pod["metadata"]["uid"]] = 0
        restarts = _restarts(pod) + 1
        self.server.update_status(pod, self._status(pod, ready=False, restarts=restarts))

    def pods_of(self, engine: Body) -> list[Body]:
        """Pods that the StatefulSet owns, by rank."""
        uid = engine["metadata"]["uid"]
        return [pod for pod in self.server.of_kind("Pod") if pod["metadata"]["ownerReferences"][0]["uid"] == uid]

    def whole(self, engine: Body) -> bool:
        """Whether the engine would really answer: its leader is ready and its gang is the one that formed."""
        pods = self.pods_of(engine)
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        if not alive or len(alive) != engine["spec"]["replicas"] or not _ready(alive[0]):
            return False
        return len(alive) == 1 or _gang(alive) in self._formed

    def _collect_garbage(self) -> None:
        uids = {body["metadata"]["uid"] for body in self.server.objects.values()}
        for body in list(self.server.objects.values()):
            owners = body["metadata"].get("ownerReferences") or []
            gone = owners and not any(owner["uid"] in uids for owner in owners)
            if gone and "deletionTimestamp" not in body["metadata"]:
                self.server.delete(body["kind"], body["metadata"]["name"])

    def _stateful_set(self, item: Body) -> None:
        pods = {pod["metadata"]["name"]: pod for pod in self.pods_of(item)}
        if "deletionTimestamp" in item["metadata"]:
            for pod in pods.values():
                if "deletionTimestamp" not in pod["metadata"]:
                    self.server.delete("Pod", pod["metadata"]["name"])
            if not pods:
                self.server.remove("StatefulSet", item["metadata"]["name"])
            return
        wanted = [f"{item['metadata']['name']}-{rank}" for rank in range(item["spec"]["replicas"])]
        for rank, name in enumerate(wanted):
            if ("Pod", name) not in self.server.objects:
                self.server.create(_pod(item, name, rank))
        for name, pod in pods.items():
            if name not in wanted and "deletionTimestamp" not in pod["metadata"]:
                self.server.delete("Pod", name)

    def _deployment(self, item: Body) -> None:
        replicas = item["spec"]["replicas"]
        ready = replicas if self.routers_start else 0
        status = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": ready,
        }
        self.server.update_status(item, status)

    def _schedule(self, pod: Body) -> None:
        """A pod keeps the node it was given."""
        if "nodeName" not in pod["spec"] and "deletionTimestamp" not in pod["metadata"] and self.fits(pod):
            self.server.edit("Pod", pod["metadata"]["name"], lambda live: live["spec"].update(nodeName="node"))

    def _kubelet(self, pod: Body) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            left = metadata["deletionGracePeriodSeconds"] - 1
            if left < 0:
                self.server.remove("Pod", metadata["name"])
            else:
                self.server.edit("Pod", metadata["name"], lambda live: live["metadata"].update({_GRACE: left}))
            return
        age = self._ages[metadata["uid"]] = self._ages.get(metadata["uid"], -1) + 1
        ready = age >= START_TICKS and self.works(pod) and (_ready(pod) or self._may_form(pod))
        self.server.update_status(pod, self._status(pod, ready, _restarts(pod)))

    def _may_form(self, pod: Body) -> bool:
        """A leader becomes ready when a whole new gang is there; a rank cannot join one that has formed before."""
        engine = next(
            item
            for item in self.server.of_kind("StatefulSet")
            if item["metadata"]["uid"] == pod["metadata"]["ownerReferences"][0]["uid"]
        )
        pods = [item for item in self.pods_of(engine) if "deletionTimestamp" not in item["metadata"]]
        if engine["spec"]["replicas"] == 1 or not pod["metadata"]["name"].endswith("-0"):
            return True
        used = {uid for gang in self._formed for uid, _ in gang}
        fresh = not used & {item["metadata"]["uid"] for item in pods}
        fresh = fresh and all("nodeName" in item["spec"] for item in pods)
        if len(pods) == engine["spec"]["replicas"] and fresh:
            self._formed.append(_gang(pods))
            return True
        return False

    def _status(self, pod: Body, ready: bool, restarts: int) -> dict[str, Any]:
        if "nodeName" not in pod["spec"]:
            unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPUs"}
            return {"phase": "Pending", "conditions": [self._timed(pod, unschedulable)]}
        address = (pod.get("status") or {}).get("podIP")
        if address is None:
            self._addresses += 1
            address = f"10.1.{self._addresses // 250}.{self._addresses % 250 + 1}"
        return {
            "phase": "Running",
            "podIP": address,
            "conditions": [self._timed(pod, {"type": "Ready", "status": str(ready)})],
            "containerStatuses": [{"name": "engine", "restartCount": restarts}],
        }

    def _timed(self, pod: Body, condition: dict[str, Any]) -> dict[str, Any]:
        """With the time of its last transition."""
        before = {item["type"]: item for item in (pod.get("status") or {}).get("conditions", [])}
        old = before.get(condition["type"], {})
        same = old.get("status") == condition["status"]
        return {**condition, "lastTransitionTime": old["lastTransitionTime"] if same else self.server.now}


_GRACE = "deletionGracePeriodSeconds"


def _pod(owner: Body, name: str, rank: int) -> Body:
    template = owner["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**template["metadata"]["labels"], names.POD_INDEX: str(rank)},
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [{"kind": "StatefulSet", "uid": owner["metadata"]["uid"], "controller": True}],
        },
        "spec": template["spec"],
    }


def _ready(pod: Body) -> bool:
    conditions = (pod.get("status") or {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _restarts(pod: Body) -> int:
    return sum(item["restartCount"] for item in (pod.get("status") or {}).get("containerStatuses", []))


def _gang(pods: list[Body]) -> frozenset[tuple[str, int]]:
    return frozenset((pod["metadata"]["uid"], _restarts(pod)) for pod in pods)
