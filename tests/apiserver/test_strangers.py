"""An object of the same name that is not ours is never taken over."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample

SERVICE_ACCOUNT = find("v1", "ServiceAccount")


@pytest.mark.parametrize("labelled", [False, True])
async def test_it_is_left_alone_and_named_until_it_is_gone(kube: Kube, operator: StartOperator, labelled: bool) -> None:
    labels = names.labels("demo", "engine") if labelled else {}
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "demo-engines", "labels": labels},
    }
    stranger = await kube.create(SERVICE_ACCOUNT, body)
    process = await operator()
    await eventually(process.leads)
    await kube.apply(CLUSTER, sample())

    async def named() -> bool:
        condition = await kube.condition("demo", "Programmed")
        return condition.get("status") == "False" and (
            "ServiceAccount demo-engines exists and is not ours" in condition["message"]
        )

    await eventually(named)
    children = await kube.children("demo") if not labelled else {}
    assert await kube.get(SERVICE_ACCOUNT, "demo-engines") == stranger
    if not labelled:
        assert "StatefulSet/demo-large-0" in children, "the rest is there"
    await kube.delete(SERVICE_ACCOUNT, "demo-engines")
    await eventually(lambda: kube.programmed("demo"), 30)
    metadata = (await kube.get(SERVICE_ACCOUNT, "demo-engines"))["metadata"]
    assert metadata["ownerReferences"][0]["name"] == "demo"
