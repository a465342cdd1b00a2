"""What others do to the children: undone where it is ours to say, left alone where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import Audited, administrator, operators
from tests.apiserver.kube import Kube, eventually, sample

SERVICE = find("v1", "Service")
DEPLOYMENT = find("apps/v1", "Deployment")
STATEFUL_SET = find("apps/v1", "StatefulSet")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(audited: Audited, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kube]:
    """A namespace with the cluster demo, programmed, which every test leaves so."""
    async with administrator(audited) as kube, operators(kube, tmp_path_factory.mktemp("drift")) as operator:
        process = await operator()
        await eventually(process.leads)
        await kube.apply(CLUSTER, sample())
        await eventually(lambda: kube.programmed("demo"))
        yield kube


async def test_an_edited_child_is_restored(demo: Kube) -> None:
    await demo.patch(DEPLOYMENT, "demo-router", {"spec": {"replicas": 7}})

    async def restored() -> bool:
        return bool((await demo.get(DEPLOYMENT, "demo-router"))["spec"]["replicas"] == 2)

    await eventually(restored)


async def test_a_deleted_child_is_made_again(demo: Kube) -> None:
    before = (await demo.get(SERVICE, "demo"))["metadata"]["uid"]
    await demo.delete(SERVICE, "demo")

    async def back() -> bool:
        return bool((await demo.get(SERVICE, "demo"))["metadata"]["uid"] != before)

    await eventually(back)


async def test_a_child_without_our_labels_gets_them_back(demo: Kube) -> None:
    before = (await demo.get(SERVICE, "demo"))["metadata"]["uid"]
    await demo.patch(SERVICE, "demo", {"metadata": {"labels": {names.MANAGED_BY: None, names.CLUSTER: None}}})

    async def labelled() -> bool:
        metadata = (await demo.get(SERVICE, "demo"))["metadata"]
        return bool(metadata["labels"].get(names.MANAGED_BY) == names.MANAGER and metadata["uid"] == before)

    await eventually(labelled)


async def test_labels_and_annotations_of_others_are_left_alone(demo: Kube) -> None:
    written = len(demo.writes())
    added = {"labels": {"team": "blue"}, "annotations": {"note": "mine"}}
    await demo.patch(STATEFUL_SET, "demo-small-0", {"metadata": added})
    # A look that happened after the edit shows in what it repairs elsewhere.
    await demo.patch(DEPLOYMENT, "demo-router", {"spec": {"replicas": 7}})

    async def looked() -> bool:
        return len(demo.writes()) > written

    await eventually(looked)
    assert {write.resource for write in demo.writes()[written:]} <= {
        "deployments",
        "heterollmclusters/status",
        "events",
    }
    metadata = (await demo.get(STATEFUL_SET, "demo-small-0"))["metadata"]
    assert metadata["labels"]["team"] == "blue"
    assert metadata["annotations"]["note"] == "mine"


async def test_a_deleted_cluster_takes_everything_with_it(demo: Kube) -> None:
    await demo.apply(CLUSTER, sample("other"))
    await eventually(lambda: demo.programmed("other"))
    assert await demo.children("other", pods=True)
    await demo.delete(CLUSTER, "other")

    async def gone() -> bool:
        return not await demo.children("other", pods=True)

    await eventually(gone, 40)
