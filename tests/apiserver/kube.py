"""What the tests ask of the API server, through the shell's own client: fast enough to measure by."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from heterollm_controllers.api import names
from heterollm_operator.kube.client import Api, ApiError
from heterollm_operator.kube.kinds import CHILDREN, CLUSTER, Kind, find

__all__ = ["NAMESPACE", "AdminApi", "Kube", "Write", "eventually", "sample"]

NAMESPACE = Kind("v1", "Namespace", "namespaces")
SELECTOR = f"{names.MANAGED_BY}={names.MANAGER}"
_STATEFUL_SET = find("apps/v1", "StatefulSet")
_LIMIT = 20.0

T = TypeVar("T")
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Write:
    """One write, as the API server's audit log has it."""

    at: datetime
    verb: str
    resource: str
    name: str
    dry_run: bool


class AdminApi(Api):
    """The tests' own requests, told apart from the operator's in the audit log."""

    agent = "tests"


class Kube:
    """An administrator at one namespace of a control plane."""

    def __init__(self, api: Api, kubeconfig: Path, audit_log: Path, namespace: str) -> None:
        self.api = api
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._audit_log = audit_log

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], manager: str = "user") -> Manifest:
        """Server-side apply, as the user of that name."""
        path = kind.path(self.namespace, manifest["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true"}
        content = "application/apply-patch+yaml"
        return await self.api.request("PATCH", path, body=manifest, query=query, content_type=content, limit=_LIMIT)

    async def patch(self, kind: Kind, name: str, change: Mapping[str, Any]) -> Manifest:
        """Merge a change into an object, as an editor would."""
        path = kind.path(self.namespace, name)
        content = "application/merge-patch+json"
        return await self.api.request("PATCH", path, body=change, content_type=content, limit=_LIMIT)

    async def create(self, kind: Kind, manifest: Mapping[str, Any]) -> Manifest:
        return await self.api.request("POST", kind.path(self.namespace), body=manifest, limit=_LIMIT)

    async def get(self, kind: Kind, name: str) -> Manifest:
        return await self.api.request("GET", kind.path(self.namespace, name), limit=_LIMIT)

    async def exists(self, kind: Kind, name: str) -> bool:
        try:
            await self.get(kind, name)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def delete(self, kind: Kind, name: str) -> None:
        await self.api.request("DELETE", kind.path(self.namespace, name), limit=_LIMIT)

    async def find(self, kind: Kind, selector: str = "") -> list[Manifest]:
        query = {"labelSelector": selector} if selector else {}
        found = await self.api.request("GET", kind.path(self.namespace), query=query, limit=_LIMIT)
        items: list[Manifest] = found["items"]
        return items

    async def children(self, cluster: str, *, pods: bool = False) -> dict[str, Manifest]:
        """What the operator made for a cluster, by "Kind/name"; `pods` adds what others made of it."""
        found = {}
        for kind in CHILDREN:
            if kind.kind == "Pod" and not pods:
                continue
            for item in await self.find(kind, f"{SELECTOR},{names.CLUSTER}={cluster}"):
                owner = item["metadata"]["ownerReferences"][0]["kind"]
                if pods or owner == names.KIND:
                    found[f"{kind.kind}/{item['metadata']['name']}"] = item
        return found

    async def condition(self, cluster: str, type_: str) -> Mapping[str, Any]:
        """One of a cluster's conditions; empty when it has none."""
        status = (await self.get(CLUSTER, cluster)).get("status", {})
        return next((item for item in status.get("conditions", []) if item["type"] == type_), {})

    async def current_condition(self, cluster: str, type_: str, status: str) -> Mapping[str, Any] | None:
        """One of a cluster's conditions, if it has this status for the cluster's present generation."""
        generation = (await self.get(CLUSTER, cluster))["metadata"]["generation"]
        condition = await self.condition(cluster, type_)
        current = condition.get("observedGeneration") == generation
        return condition if current and condition["status"] == status else None

    async def programmed(self, cluster: str) -> bool:
        """Whether every object of the cluster's present generation is applied."""
        return await self.current_condition(cluster, "Programmed", "True") is not None

    async def engine_images(self) -> dict[str, str]:
        """Image of each engine that is not about to go, by the engine's name."""
        return {
            item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
            for item in await self.find(_STATEFUL_SET)
            if "deletionTimestamp" not in item["metadata"]
        }

    def writes(self, *, agent: str = "heterollm/", leases: bool = False) -> list[Write]:
        """What was written in this namespace so far, by everyone whose user agent starts so."""
        found = []
        for line in self._audit_log.read_text().splitlines():
            entry = json.loads(line)
            what = entry.get("objectRef", {})
            if what.get("namespace") != self.namespace or not entry.get("userAgent", "").startswith(agent):
                continue
            if what["resource"] == "leases" and not leases:
                continue
            resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
            dry = "dryRun" in entry["requestURI"]
            found.append(
                Write(
                    datetime.fromisoformat(entry["stageTimestamp"]), entry["verb"], resource, what.get("name", ""), dry
                )
            )
        return found


async def eventually(what: Callable[[], Awaitable[T]], seconds: float = 60.0) -> T:
    """Wait until the answer is true, and return it. Errors count as "not yet" until the time is up.

    That is long, as an operator starts slowly while other tests run beside this one.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := await what():
                return answer
            error: Exception | None = None
        except (ApiError, OSError, AssertionError) as raised:
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds:g} s") from error
        await asyncio.sleep(0.05)


def sample(name: str = "demo", *, engines: int = 2, nodes: int = 2) -> Manifest:
    """A cluster of two tiers: `engines` small ones, and one large one over that many nodes."""
    small = {
        "name": "small",
        "model": {"id": "Qwen/Qwen3-4B"},
        "accelerator": {"type": "A100-80GB", "perNode": 8},
        "engine": {"gpus": 2},
        "replicas": {"min": engines, "max": 8},
    }
    large = {
        "name": "large",
        "model": {"id": "Qwen/Qwen3-32B"},
        "accelerator": {"type": "A100-80GB", "perNode": 8},
        "engine": {"gpus": 8 * nodes},
        "replicas": {"min": 1, "max": 2},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {"tiers": [small, large]},
    }
