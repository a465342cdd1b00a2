"""What the operator says that tiers cost, from the pods of a real API server, through a change of leaders."""

from __future__ import annotations

import asyncio
import time

import pytest

from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import FakeKubelet
from tests.apiserver.process import OperatorProcess

PRICE = 3.5
WATCHED = 4.0
"""Seconds between two reads of a counter."""


def cluster(engines: int) -> dict[str, object]:
    body = sample()
    tier = {
        "name": "small",
        "model": {"id": "org/small"},
        "accelerator": {"type": "H100", "dollarsPerHour": str(PRICE)},
        "engine": {"gpus": 2},
        "replicas": {"fixed": engines},
    }
    return {**body, "spec": {**body["spec"], "tiers": [tier]}}


async def grown(operator: OperatorProcess, metric: str) -> float:
    """By how much a counter grows in a second."""
    before, began = await operator.metric(metric), time.monotonic()
    await asyncio.sleep(WATCHED)
    return (await operator.metric(metric) - before) / (time.monotonic() - began)


async def holds(operator: OperatorProcess, gpus: float) -> bool:
    return await operator.metric("heterollm_tier_gpus{") == gpus


async def test_gpus_are_counted_from_binding_on_and_a_new_leader_begins_at_zero(
    kube: Kube, operator: StartOperator
) -> None:
    first = await operator()
    await eventually(first.leads)
    await kube.apply(CLUSTER, cluster(3))
    await eventually(lambda: kube.programmed("demo"))
    assert await holds(first, 0), "no pod has a node"
    assert await first.metric("heterollm_tier_dollars_total{") == 0
    kubelet = FakeKubelet(kube)
    await kubelet.until_ready()
    await eventually(lambda: holds(first, 6))
    assert await grown(first, "heterollm_tier_gpu_seconds_total{") == pytest.approx(6, rel=0.05)
    assert await grown(first, "heterollm_tier_dollars_total{") == pytest.approx(6 * PRICE / 3600, rel=0.05)
    counted = await first.metric("heterollm_tier_gpu_seconds_total{")
    await first.stop()

    second = await operator()
    await eventually(second.leads)
    began = time.monotonic()
    await eventually(lambda: holds(second, 6))
    anew = await second.metric("heterollm_tier_gpu_seconds_total{")
    assert anew < counted
    assert anew <= 6 * (time.monotonic() - began + 1)
    await kube.apply(CLUSTER, cluster(1))
    await eventually(lambda: holds(second, 2))
    assert await grown(second, "heterollm_tier_gpu_seconds_total{") == pytest.approx(2, rel=0.05)
    await kube.delete(CLUSTER, "demo")

    async def gone() -> bool:
        return "heterollm_tier_gpus{" not in await second.read("/metrics")

    await eventually(gone)
    assert "heterollm_tier_dollars_total{" not in await second.read("/metrics")
