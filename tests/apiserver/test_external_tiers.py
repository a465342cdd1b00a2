"""A tier that is a service outside of the cluster, on a real API server."""

from __future__ import annotations

import json
from typing import Any

from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.test_steady import settled


def _external(name: str, secret: str) -> dict[str, Any]:
    manifest = sample(name)
    manifest["spec"]["tiers"][1] = {
        "name": "large",
        "external": {
            "url": "https://llm.example.com/v1",
            "model": "acme/big",
            "apiKeySecret": {"name": secret, "key": "key"},
            "maxRequests": 200,
        },
    }
    return manifest


async def _tiers(kube: Kube, name: str) -> list[str]:
    policy = (await kube.children(name))[f"ConfigMap/{name}-policy"]
    clusters = json.loads(policy["data"]["cds.json"])["resources"]
    return [item["name"] for item in clusters if item["name"].startswith("tier_")]


async def _statuses(kube: Kube, name: str) -> list[tuple[str, bool]]:
    status = (await kube.get(CLUSTER, name))["status"]
    return [(item["secret"], item["routed"]) for item in status["externalTiers"]]


async def test_it_has_a_route_and_no_objects(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads)
    await kube.apply(CLUSTER, _external("outside", "first"))
    await eventually(lambda: kube.programmed("outside"))
    children = await kube.children("outside")
    assert "StatefulSet/outside-small-0" in children
    assert [child for child in children if "outside-large" in child] == []
    assert await _tiers(kube, "outside") == ["tier_small", "tier_large"]
    assert await _statuses(kube, "outside") == [("first/key", True)]
    template = children["Deployment/outside-router"]["spec"]["template"]["spec"]
    [volume] = [item for item in template["volumes"] if item["name"] == "external-large"]
    assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == ("first", True)


async def test_routers_without_its_key_do_not_know_it(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads)
    await kube.apply(CLUSTER, _external("outside", "first"))
    await eventually(lambda: kube.programmed("outside"))
    await kube.apply(CLUSTER, _external("outside", "second"))

    async def withheld() -> bool:
        return await _tiers(kube, "outside") == ["tier_small"]

    # Nobody runs routers here, so none will ever have the other key.
    await eventually(withheld)
    assert await _statuses(kube, "outside") == [("second/key", False)]


async def test_it_is_written_once(kube: Kube, operator: StartOperator) -> None:
    process = await operator("--resync=1")
    await eventually(process.leads)
    await kube.apply(CLUSTER, _external("outside", "first"))
    await eventually(lambda: kube.programmed("outside"))
    await settled(kube)
    before, looked = kube.writes(), await process.metric("heterollm_reconciles_total")

    async def looked_again() -> bool:
        return await process.metric("heterollm_reconciles_total") >= looked + 3

    await eventually(looked_again)
    assert kube.writes()[len(before) :] == []
