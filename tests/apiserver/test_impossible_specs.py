"""Specs that are valid and cannot work: said with the arithmetic, and what runs keeps running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from heterollm_operator.kube.kinds import CLUSTER, EVENT, find
from tests.apiserver.conftest import Audited, StartOperator, administrator, operators
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import POD, FakeKubelet

CONFIG_MAP = find("v1", "ConfigMap")
SERVICE = find("v1", "Service")
STATEFUL_SET = find("apps/v1", "StatefulSet")

Manifest = dict[str, Any]

UNMOUNTED = {"spec": {"containers": [{"name": "engine", "volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}]}}
IMPOSSIBLE = {
    "accelerator that nobody knows": (
        {"accelerator": {"type": "X1000", "perNode": 8}},
        "UnknownAccelerator",
        ["accelerator X1000 is not in the catalogue", "A100-80GB", "set accelerator.memoryGiB"],
    ),
    "engine larger than its nodes": (
        {"engine": {"gpus": 16, "nodes": 1}},
        "EngineLargerThanNodes",
        ["16 GPUs over 1 node(s) need 16 per node, but a node has 8", "raise engine.nodes to at least 2"],
    ),
    "GPUs that do not divide": (
        {"engine": {"gpus": 9}},
        "GpusDoNotDivide",
        ["9 GPUs do not divide over 2 nodes of 8 (9 / 2 = 4.50)", "make engine.gpus a multiple of 2"],
    ),
    "expert parallelism that does not divide": (
        {"model": {"id": "Qwen/Qwen3-30B-A3B"}, "engine": {"gpus": 8, "expertParallel": 3}},
        "InvalidParallelism",
        ["EP 3 does not divide the tensor-parallel size 8 (8 / 3 = 2.67)", "choose a divisor of 8"],
    ),
    "model that does not fit": (
        {"model": {"id": "Qwen/Qwen3-32B"}, "accelerator": {"type": "L4", "perNode": 8}, "engine": {"gpus": 1}},
        "DoesNotFit",
        ["weights take 61.", "GiB are there for weights and KV cache", "8 GPUs (TP 8) would do"],
    ),
    "flag that SGLang does not have": (
        {"engine": {"gpus": 2, "args": ["--mem-fraction-statc", "0.9"]}},
        "InvalidFlags",
        ["SGLang 0.5.23 has no flag --mem-fraction-statc", "did you mean --mem-fraction-static"],
    ),
    "pod template that the server refuses": (
        {"podTemplate": UNMOUNTED},
        "PodTemplateInvalid",
        ["spec.template.spec.containers[0].volumeMounts", 'Not found: "cache"'],
    ),
}


def changed(**small: Any) -> Manifest:
    """The sample with other fields in its first tier."""
    manifest = sample()
    manifest["spec"]["tiers"][0] |= small
    return manifest


async def running(kube: Kube) -> dict[str, tuple[str, int]]:
    """Who serves: identity and generation of every engine, identity of every pod."""
    found = [*await kube.find(STATEFUL_SET), *await kube.find(POD)]
    return {
        f"{item['metadata']['name']} {item['metadata']['uid']}": (
            item["metadata"]["uid"],
            item["metadata"].get("generation", 0),
        )
        for item in found
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def led(audited: Audited, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kube]:
    """A namespace with an operator for all tests that leave the cluster demo as it was."""
    async with administrator(audited) as kube, operators(kube, tmp_path_factory.mktemp("operator")) as operator:
        process = await operator()
        await eventually(process.leads, 60)
        yield kube


@pytest.fixture(scope="module")
def kubelet(led: Kube) -> FakeKubelet:
    """It remembers the addresses it gave to pods."""
    return FakeKubelet(led)


@pytest_asyncio.fixture(loop_scope="module")
async def serving(led: Kube, kubelet: FakeKubelet) -> Kube:
    """A namespace with the cluster demo, all of whose engines serve."""
    await led.apply(CLUSTER, sample())
    await kubelet.until_ready()
    return led


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("change", "reason", "texts"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
async def test_what_runs_keeps_running_until_the_spec_is_corrected(
    serving: Kube, change: Manifest, reason: str, texts: list[str]
) -> None:
    before = await running(serving)
    policy = (await serving.get(CONFIG_MAP, "demo-policy"))["data"]
    status = (await serving.get(CLUSTER, "demo"))["status"]
    generation = (await serving.apply(CLUSTER, changed(**change)))["metadata"]["generation"]

    accepted = await eventually(lambda: serving.current_condition("demo", "Accepted", "False"))
    assert accepted is not None
    assert accepted["reason"] == reason
    assert accepted["message"].startswith("tier small: ")
    for text in texts:
        assert text in accepted["message"]
    stalled = await serving.current_condition("demo", "Stalled", "True")
    assert stalled is not None
    assert stalled["reason"] == reason
    ready = await serving.current_condition("demo", "Ready", "False")
    assert ready is not None
    assert (ready["reason"], ready["message"]) == (
        "NotAccepted",
        "the spec is not accepted; engines serving: small 2/2, large 1/1",
    )
    assert await serving.current_condition("demo", "Reconciling", "False")
    refused = (await serving.get(CLUSTER, "demo"))["status"]
    assert refused["observedGeneration"] == generation
    assert refused["engines"] == "3/3"
    assert refused["tiers"] == status["tiers"]
    events = await serving.find(EVENT)
    assert [item["type"] for item in events if item["reason"] == reason] == ["Warning"]

    # Whatever else the cluster needs is still looked after, and only that.
    service = (await serving.get(SERVICE, "demo"))["metadata"]["uid"]
    await serving.delete(SERVICE, "demo")

    async def restored() -> bool:
        return bool((await serving.get(SERVICE, "demo"))["metadata"]["uid"] != service)

    await eventually(restored)
    assert await running(serving) == before
    assert (await serving.get(CONFIG_MAP, "demo-policy"))["data"] == policy

    await serving.apply(CLUSTER, sample())
    await eventually(lambda: serving.current_condition("demo", "Ready", "True"))
    assert await serving.current_condition("demo", "Accepted", "True")
    assert await serving.current_condition("demo", "Stalled", "False")
    assert await running(serving) == before


async def test_a_tier_that_never_ran_starts_once_its_spec_is_corrected(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads, 60)
    await kube.apply(CLUSTER, changed(accelerator={"type": "X1000", "perNode": 8}))
    await eventually(lambda: kube.current_condition("demo", "Accepted", "False"))

    async def engines() -> set[str]:
        return {item["metadata"]["name"] for item in await kube.find(STATEFUL_SET)}

    async def other_tier_runs() -> bool:
        return await engines() == {"demo-large-0"}

    await eventually(other_tier_runs)
    assert await kube.current_condition("demo", "Stalled", "True")
    await kube.apply(CLUSTER, sample())
    await FakeKubelet(kube).until_ready()
    assert await engines() == {"demo-large-0", "demo-small-0", "demo-small-1"}
    assert await kube.current_condition("demo", "Stalled", "False")
