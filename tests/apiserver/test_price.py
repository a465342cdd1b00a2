"""A price, a measured speed, a usual request, an objective: the report follows, and no engine is touched."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import POD, FakeKubelet

REVISION = find("apps/v1", "ControllerRevision")
STATEFUL_SET = find("apps/v1", "StatefulSet")
OLD, NEW = "registry.example/engine:1", "registry.example/engine:2"
TEMPLATE: dict[str, Any] = {"spec": {"nodeSelector": None, "priorityClassName": "", "tolerations": []}}
EDITS: list[dict[str, Any]] = [
    {"accelerator": {"type": "A100-80GB", "perNode": 8, "dollarsPerHour": "9.5"}},
    {"engine": {"gpus": 2, "measured": {"requestsPerSecond": "3"}}},
    {"engine": {"gpus": 2, "workload": {"inputTokens": 4000, "outputTokens": 100}}},
    {"engine": {"gpus": 2, "objective": "latency"}},
]


class Priced:
    """The cluster demo; its pod template has what API servers like to drop."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.kubelet = FakeKubelet(kube)

    async def edit(self, **small: Any) -> None:
        manifest = sample()
        manifest["spec"]["tiers"][0] |= {"podTemplate": TEMPLATE, **small}
        await self.kube.apply(CLUSTER, manifest)

    async def says(self, type_: str, status: str) -> bool:
        """Of the present generation."""
        return await self.kube.current_condition("demo", type_, status) is not None

    async def cost(self) -> float:
        tier = (await self.kube.get(CLUSTER, "demo"))["status"]["tiers"][0]
        return float(tier["sizing"]["performance"]["costPer1000Requests"])

    async def running(self) -> dict[str, tuple[str, int]]:
        """Identity and generation of whatever an engine consists of; revisions, ours and those of StatefulSets."""
        found = [*await self.kube.find(STATEFUL_SET), *await self.kube.find(POD), *await self.kube.find(REVISION)]
        return {
            item["metadata"]["uid"]: (item["metadata"]["name"], item["metadata"].get("generation", 0)) for item in found
        }


@pytest.fixture
async def priced(kube: Kube) -> Priced:
    return Priced(kube)


async def test_nothing_is_restarted(priced: Priced, operator: StartOperator) -> None:
    first = await operator(f"--engine-image={OLD}")
    await eventually(first.leads, 60)
    await priced.edit()
    await priced.kubelet.until_ready()
    before, costs = await priced.running(), [await priced.cost()]
    for edit in EDITS:
        await priced.edit(**edit)
        await eventually(lambda: priced.says("Accepted", "True"))
        await eventually(lambda: priced.says("Ready", "True"))
        assert await priced.running() == before
        assert await priced.says("UpdateAvailable", "False")
        costs.append(await priced.cost())
    # The objective says what free sizes are chosen for: with stated ones it changes nothing at all.
    assert len(set(costs)) == len(costs) - 1
    assert costs[-1] == costs[0]

    await first.stop()
    second = await operator(f"--engine-image={NEW}")
    await eventually(second.leads, 60)
    await eventually(lambda: priced.says("UpdateAvailable", "True"))
    await priced.edit(**EDITS[0])
    await eventually(lambda: priced.says("Ready", "True"))
    assert await priced.cost() == costs[1]
    assert await priced.running() == before
    assert await priced.says("UpdateAvailable", "True")
