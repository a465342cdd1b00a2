"""A new operator with another engine template restarts no engine until the user asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import POD, FakeKubelet

DEPLOYMENT = find("apps/v1", "Deployment")
STATEFUL_SET = find("apps/v1", "StatefulSet")
OLD, NEW = "registry.example/engine:1", "registry.example/engine:2"


class Upgraded:
    """The cluster demo, made by an operator with the old engine image, under one with the new image."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.kubelet = FakeKubelet(kube)

    async def start(self, operator: StartOperator) -> None:
        first = await operator(f"--engine-image={OLD}")
        await eventually(first.leads, 60)
        await self.kube.apply(CLUSTER, sample())
        await self.kubelet.until_ready()
        self.made = await self.identities()
        await first.stop()
        self.written = len(self.kube.writes())
        second = await operator(f"--engine-image={NEW}")
        await eventually(second.leads, 60)
        await eventually(lambda: self.condition("UpdateAvailable", "True"))

    async def condition(self, type_: str, status: str) -> bool:
        return (await self.kube.condition("demo", type_)).get("status") == status

    async def become(self, engines: dict[str, str]) -> None:
        """Wait until there are exactly these engines, by short name."""

        async def so() -> bool:
            return await self.kube.engine_images() == {f"demo-{name}": image for name, image in engines.items()}

        await eventually(so)

    async def identities(self) -> dict[str, tuple[Any, ...]]:
        """What would change if anything were done to an engine. Of pods only who they are: kubelets write to them."""
        found: dict[str, tuple[Any, ...]] = {}
        for item in await self.kube.find(STATEFUL_SET):
            metadata = item["metadata"]
            found[metadata["name"]] = (metadata["uid"], metadata["generation"], metadata["resourceVersion"])
        for item in await self.kube.find(POD):
            found[item["metadata"]["name"]] = (item["metadata"]["uid"],)
        return found

    async def reconciled(self) -> None:
        """Wait until the operator has certainly reconciled the cluster as it is now: it repairs what is edited here."""
        await self.kube.patch(DEPLOYMENT, "demo-router", {"spec": {"replicas": 7}})

        async def restored() -> bool:
            return bool((await self.kube.get(DEPLOYMENT, "demo-router"))["spec"]["replicas"] == 2)

        await eventually(restored)

    def writes(self) -> list[tuple[str, str]]:
        """What the new operator wrote to engines: verb and name."""
        new = self.kube.writes()[self.written :]
        return [(write.verb, write.name) for write in new if write.resource == "statefulsets" and not write.dry_run]


@pytest.fixture
async def upgraded(kube: Kube, operator: StartOperator) -> Upgraded:
    """The cluster after the upgrade."""
    result = Upgraded(kube)
    await result.start(operator)
    return result


async def test_no_engine_changes(upgraded: Upgraded) -> None:
    assert await upgraded.identities() == upgraded.made
    new = {write.resource for write in upgraded.kube.writes()[upgraded.written :]}
    assert new <= {"heterollmclusters/status", "events"}
    condition = await upgraded.kube.condition("demo", "UpdateAvailable")
    assert condition["reason"] == "TemplateChanged"
    assert "small, large" in condition["message"]
    assert names.UPDATE in condition["message"]
    assert await upgraded.condition("Ready", "True")


async def test_a_tier_that_grows_grows_by_engines_of_the_same_kind(upgraded: Upgraded) -> None:
    await upgraded.kube.apply(CLUSTER, sample(engines=3))
    await upgraded.become({"small-0": OLD, "small-1": OLD, "small-2": OLD, "large-0": OLD})
    await upgraded.kubelet.until_ready()
    assert await upgraded.condition("UpdateAvailable", "True")
    assert upgraded.made.items() <= (await upgraded.identities()).items()


async def test_opting_in_surges_one_engine_and_drains_one(upgraded: Upgraded) -> None:
    await upgraded.kube.patch(CLUSTER, "demo", {"metadata": {"annotations": {names.UPDATE: "1"}}})
    # One more of each tier; nothing goes before it serves.
    await upgraded.become({"small-0": OLD, "small-1": OLD, "small-2": NEW, "large-0": OLD, "large-1": NEW})
    await upgraded.reconciled()
    assert {verb for verb, _ in upgraded.writes()} == {"patch"}
    await upgraded.kubelet.make_ready()
    await upgraded.become({"small-0": OLD, "small-1": NEW, "small-2": NEW, "large-1": NEW})
    assert upgraded.made["demo-small-0"] == (await upgraded.identities())["demo-small-0"]
    await upgraded.kubelet.make_ready()
    await upgraded.become({"small-1": NEW, "small-2": NEW, "large-1": NEW})
    await upgraded.kubelet.until_ready()
    assert await upgraded.condition("UpdateAvailable", "False")
    small = [write for write in upgraded.writes() if "small" in write[1]]
    assert small == [
        ("patch", "demo-small-2"),
        ("delete", "demo-small-1"),
        ("patch", "demo-small-1"),
        ("delete", "demo-small-0"),
    ]
    large = [write for write in upgraded.writes() if "large" in write[1]]
    assert large == [("patch", "demo-large-1"), ("delete", "demo-large-0")]
