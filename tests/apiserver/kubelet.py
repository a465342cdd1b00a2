"""Nodes for a control plane that has none: pods become Ready when a test says so.

Pods that no scheduler has bound end at once when they are deleted, so nothing need be done about those.
"""

from __future__ import annotations

import asyncio
from typing import Any

from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.kinds import find
from tests.apiserver.kube import Kube, eventually

__all__ = ["FakeKubelet"]

POD = find("v1", "Pod")
_AT = "2026-01-01T00:00:00Z"
_TRUE = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


class FakeKubelet:
    """Says of the pods of a namespace what a kubelet says of pods that run."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._addresses: dict[str, str] = {}

    async def make_ready(self) -> None:
        """Every pod that exists now runs and is ready."""
        await asyncio.gather(*map(self._run, await self._kube.find(POD)))

    async def until_ready(self, cluster: str = "demo", seconds: float = 60.0) -> None:
        """Make pods ready until the cluster's present generation is Ready."""

        async def ready() -> bool:
            await self.make_ready()
            return await self._kube.current_condition(cluster, "Ready", "True") is not None

        await eventually(ready, seconds)

    async def make_unready(self, name: str) -> None:
        """The pod runs on, and is not ready, until `make_ready`."""
        conditions = [
            {"type": type_, "status": "False" if "Ready" in type_ else "True", "lastTransitionTime": _AT}
            for type_ in _TRUE
        ]
        await self._report(name, {"status": {"conditions": conditions}})

    async def _run(self, pod: dict[str, Any]) -> None:
        # The scheduler finds no node and may say so at any time: what it said last is overruled.
        conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
        if all(conditions.get(type_) == "True" for type_ in _TRUE):
            return
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        address = self._addresses.setdefault(
            uid, f"10.99.{len(self._addresses) // 250}.{len(self._addresses) % 250 + 1}"
        )
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": _AT,
            "conditions": [{"type": type_, "status": "True", "lastTransitionTime": _AT} for type_ in _TRUE],
        }
        await self._report(name, {"metadata": {"uid": uid}, "status": status})

    async def _report(self, name: str, body: dict[str, Any]) -> None:
        path = POD.path(self._kube.namespace, name, "status")
        try:
            await self._kube.api.request(
                "PATCH", path, body=body, content_type="application/merge-patch+json", limit=20
            )
        except ApiError as error:
            if error.status not in (404, 409):  # replaced or gone meanwhile
                raise
