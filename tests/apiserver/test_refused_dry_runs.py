"""Whatever the API server has against new engines is said on the cluster, and stops nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import POD, FakeKubelet
from tests.apiserver.obstacles import in_the_way

CONFIG_MAP = find("v1", "ConfigMap")
DEPLOYMENT = find("apps/v1", "Deployment")
SERVICE = find("v1", "Service")
STATEFUL_SET = find("apps/v1", "StatefulSet")

Manifest = dict[str, Any]

CPU = {"spec": {"containers": [{"name": "engine", "resources": {"requests": {"cpu": "lots"}}}]}}
TEMPLATES: dict[str, tuple[Manifest, str]] = {
    "a boolean that is none": ({"spec": {"hostNetwork": "maybe"}}, ".spec.template.spec.hostNetwork: expected boolean"),
    "an unknown field": ({"spec": {"bogus": 1}}, ".spec.template.spec.bogus: field not declared in schema"),
    "a quantity that is none": (CPU, "quantities must match"),
    "a number that is none": ({"spec": {"priority": {}}}, ".spec.template.spec.priority: expected numeric"),
    "a key that is a number": (
        {"spec": {"tolerations": [{"key": 5}]}},
        ".spec.template.spec.tolerations[0].key: expected string",
    ),
    "a user below zero": ({"spec": {"securityContext": {"runAsUser": -1}}}, "must be between 0 and 2147483647"),
}
OBSTACLES = {
    "a policy": ("False", "Forbidden", "no engines on Fridays"),
    "a policy that says Invalid": ("False", "Forbidden", "no engines on Fridays"),
    "a quota": ("False", "Forbidden", "exceeded quota: engines, requested: count/statefulsets.apps=1"),
    "a webhook that is down": ("Unknown", "NotChecked", 'failed calling webhook "away.example.com"'),
}


def changed(threshold: str = "0.7", **small: Any) -> Manifest:
    """The sample with other fields in its first tier."""
    manifest = sample()
    manifest["spec"]["tiers"][0] |= small
    manifest["spec"]["routing"] = {"complexityThreshold": threshold}
    return manifest


class Cluster:
    """The cluster demo, and whoever works on it."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.kubelet = FakeKubelet(kube)

    async def accepted(self, status: str, reason: str, *words: str, name: str = "demo") -> bool:
        """Whether the present generation's Accepted says so."""
        cluster = await self.kube.get(CLUSTER, name)
        condition = await self.kube.condition(name, "Accepted")
        observed = cluster["metadata"]["generation"] == cluster.get("status", {}).get("observedGeneration")
        same = (condition.get("status"), condition.get("reason")) == (status, reason)
        return observed and same and all(word in condition["message"] for word in words)

    async def policy(self) -> str:
        """The published policy as text."""
        return str((await self.kube.get(CONFIG_MAP, "demo-policy"))["data"])

    async def goes_on(self, threshold: str) -> None:
        """Whatever a cluster with a refused tier needs is still done: traffic, changes, repairs."""

        async def follows() -> bool:
            return threshold in await self.policy()

        await eventually(follows)
        await eventually(lambda: self.kube.exists(SERVICE, "demo"))
        service = (await self.kube.get(SERVICE, "demo"))["metadata"]["uid"]
        await self.kube.delete(SERVICE, "demo")

        async def repaired() -> bool:
            return bool((await self.kube.get(SERVICE, "demo"))["metadata"]["uid"] != service)

        await eventually(repaired)

    async def lets_go_of_an_unready_engine(self) -> None:
        """The engine demo-small-0 stops to be ready."""
        pod = await self.kube.get(POD, "demo-small-0-0")
        address = pod["status"]["podIP"]
        assert address in await self.policy()
        await self.kubelet.make_unready("demo-small-0-0")

        async def let_go() -> bool:
            return address not in await self.policy()

        await eventually(let_go)


@pytest.fixture
async def cluster(kube: Kube, operator: StartOperator) -> Cluster:
    """Nothing yet, but an operator that leads."""
    process = await operator()
    await eventually(process.leads, 60)
    return Cluster(kube)


@pytest.fixture
async def serving(cluster: Cluster) -> Cluster:
    """All engines serve."""
    await cluster.kube.apply(CLUSTER, changed())
    await cluster.kubelet.until_ready()
    return cluster


async def test_templates_of_new_clusters(cluster: Cluster) -> None:
    for number, (template, _) in enumerate(TEMPLATES.values()):
        await cluster.kube.apply(CLUSTER, changed(podTemplate=template) | {"metadata": {"name": f"demo{number}"}})

    async def all_said() -> bool:
        said = [
            await cluster.accepted("False", "PodTemplateInvalid", "tier small: ", words, name=f"demo{number}")
            for number, (_, words) in enumerate(TEMPLATES.values())
        ]
        return all(said)

    await eventually(all_said)

    async def others_run() -> bool:
        return set(await cluster.kube.engine_images()) == {f"demo{number}-large-0" for number in range(len(TEMPLATES))}

    await eventually(others_run)
    assert await cluster.kube.exists(DEPLOYMENT, "demo0-router")
    await cluster.kube.apply(CLUSTER, changed() | {"metadata": {"name": "demo0"}})

    async def corrected() -> bool:
        return "demo0-small-1" in await cluster.kube.engine_images()

    await eventually(corrected)
    assert await cluster.accepted("True", "Valid", name="demo0")


async def test_a_template_of_a_serving_cluster(serving: Cluster) -> None:
    engines = await serving.kube.engine_images()
    template, words = TEMPLATES["a boolean that is none"]
    tier = {"podTemplate": template, "replicas": {"min": 3, "max": 8}}
    await serving.kube.apply(CLUSTER, changed("0.3", **tier))
    await eventually(lambda: serving.accepted("False", "PodTemplateInvalid", "tier small: ", words))

    async def one_more() -> bool:
        return await serving.kube.engine_images() == engines | {"demo-small-2": engines["demo-small-0"]}

    await eventually(one_more)
    await serving.goes_on("0.3")
    await serving.lets_go_of_an_unready_engine()


@pytest.mark.parametrize(("obstacle", "said"), OBSTACLES.items(), ids=OBSTACLES)
async def test_an_obstacle_to_a_new_cluster_ends_without_an_edit(
    cluster: Cluster, obstacle: str, said: tuple[str, str, str]
) -> None:
    async with in_the_way(cluster.kube, obstacle):
        await _in_force(cluster)
        await cluster.kube.apply(CLUSTER, changed())
        await eventually(lambda: cluster.accepted(said[0], said[1], "tier small: ", "tier large: ", said[2]))
        await cluster.goes_on("0.7")
        assert await cluster.kube.engine_images() == {}
        assert (await cluster.kube.condition("demo", "Ready"))["status"] == "False"
    await cluster.kubelet.until_ready()
    assert await cluster.accepted("True", "Valid")


@pytest.mark.parametrize(("obstacle", "said"), OBSTACLES.items(), ids=OBSTACLES)
async def test_an_obstacle_to_a_serving_cluster_ends_without_an_edit(
    serving: Cluster, obstacle: str, said: tuple[str, str, str]
) -> None:
    engines = await serving.kube.engine_images()
    async with in_the_way(serving.kube, obstacle):
        await _in_force(serving)
        await serving.kube.apply(CLUSTER, changed("0.3", engine={"gpus": 2, "image": "new"}))
        await eventually(lambda: serving.accepted(said[0], said[1], "tier small: ", said[2]))
        await serving.goes_on("0.3")
        assert await serving.kube.engine_images() == engines
        await serving.lets_go_of_an_unready_engine()
    await serving.kubelet.until_ready()
    new = {name: image for name, image in (await serving.kube.engine_images()).items() if "small" in name}
    assert {*new.values()} == {"new"}


async def test_an_engine_that_is_refused_stops_neither_the_others_nor_a_deletion(serving: Cluster) -> None:
    """The revision is known, so that nothing is checked first: the apply itself is refused."""
    async with in_the_way(serving.kube, "a quota"):
        manifest = changed()
        manifest["spec"]["tiers"][0]["replicas"] = {"min": 3, "max": 8}
        manifest["spec"]["tiers"][1]["replicas"] = {"min": 0, "max": 2}
        await serving.kube.apply(CLUSTER, manifest)

        async def said() -> bool:
            condition = await serving.kube.condition("demo", "Programmed")
            return (
                condition["reason"] == "ApplyFailed"
                and condition["message"].startswith("StatefulSet demo-small-2 is refused: ")
                and "exceeded quota" in condition["message"]
            )

        async def large_is_gone() -> bool:
            return set(await serving.kube.engine_images()) == {"demo-small-0", "demo-small-1"}

        await eventually(said)
        await eventually(large_is_gone)
        await serving.goes_on("0.7")
        await serving.lets_go_of_an_unready_engine()
    await serving.kubelet.until_ready()


async def _in_force(cluster: Cluster) -> None:
    """Policies and webhooks take a moment."""
    labels = {"app": "probe"}
    container = {"name": "probe", "image": "probe"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "serviceName": "probe", "selector": {"matchLabels": labels}, "template": template}
    manifest = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "probe"}, "spec": spec}
    path = STATEFUL_SET.path(cluster.kube.namespace)

    async def refused() -> bool:
        query = {"dryRun": "All"}
        try:
            await cluster.kube.api.request("POST", path, body=manifest, query=query, limit=20)
        except ApiError:
            return True
        return False

    await eventually(refused)
