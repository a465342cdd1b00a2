"""The engines of a namespace, by whom they belong to: what would change if anything were done to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.kube import Kube, eventually
from tests.apiserver.kubelet import POD, FakeKubelet

__all__ = ["Engine", "Engines", "Look"]

STATEFUL_SET = find("apps/v1", "StatefulSet")

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """A StatefulSet and its pods. The manifest is for reading; who it is are the other fields."""

    uid: str
    generation: int
    revision: str
    pods: frozenset[str]
    manifest: Manifest

    @property
    def identity(self) -> tuple[Any, ...]:
        return self.uid, self.generation, self.revision, self.pods


Look = Mapping[tuple[str, str], Mapping[str, Engine]]
"""Engines that are not about to go, by cluster and tier, then by name."""


class Engines:
    """An administrator's view of them."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.kubelet = FakeKubelet(kube)

    async def apply(self, specs: Mapping[str, Manifest]) -> None:
        """Clusters by name."""
        for name, spec in specs.items():
            body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}, "spec": spec}
            await self.kube.apply(CLUSTER, body)

    async def serve(self, *clusters: str) -> None:
        """Every pod becomes ready, until these clusters are."""

        async def ready() -> bool:
            await self.kubelet.make_ready()
            return await self.say("Ready", "True", *clusters)

        await eventually(ready, 240)

    async def say(self, type_: str, status: str, *clusters: str) -> bool:
        """Whether this condition of these clusters is so, for their present generations."""
        found = {}
        for item in await self.kube.find(CLUSTER):
            for condition in item.get("status", {}).get("conditions", []):
                if condition["type"] == type_ and condition["observedGeneration"] == item["metadata"]["generation"]:
                    found[item["metadata"]["name"]] = condition["status"]
        return all(found.get(name) == status for name in clusters)

    async def look(self) -> Look:
        pods: dict[str, set[str]] = {}
        for pod in await self.kube.find(POD, names.ENGINE):
            owner = pod["metadata"]["ownerReferences"][0]["uid"]
            pods.setdefault(owner, set()).add(pod["metadata"]["uid"])
        found: dict[tuple[str, str], dict[str, Engine]] = {}
        for item in await self.kube.find(STATEFUL_SET):
            metadata = item["metadata"]
            if "deletionTimestamp" in metadata:
                continue
            labels, uid = metadata["labels"], metadata["uid"]
            found.setdefault((labels[names.CLUSTER], labels[names.TIER]), {})[metadata["name"]] = Engine(
                uid,
                metadata["generation"],
                metadata["annotations"][names.REVISION],
                frozenset(pods.get(uid, ())),
                item,
            )
        return found

    async def sizings(self, clusters: Iterable[str]) -> dict[tuple[str, str], Manifest]:
        """What is reported of each tier."""
        return {
            (name, tier["name"]): tier.get("sizing", {})
            for name in clusters
            for tier in (await self.kube.get(CLUSTER, name))["status"]["tiers"]
        }
