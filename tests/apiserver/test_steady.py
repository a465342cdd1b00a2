"""An unchanged cluster costs nothing, however often it is reconciled, and by whom."""

from __future__ import annotations

import asyncio
import os

from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample

HALF = float(os.environ.get("SOAK_SECONDS", "60")) / 2
"""Seconds that each of the two operators runs; `make soak` makes it longer."""
QUIET = 6.0


async def test_a_minute_of_looks_and_a_restart_write_nothing(kube: Kube, operator: StartOperator) -> None:
    first = await operator("--resync=2")
    await eventually(first.leads)
    for name in ("one", "two"):
        await kube.apply(CLUSTER, sample(name))
    for name in ("one", "two"):
        await eventually(lambda name=name: kube.programmed(name))  # type: ignore[misc]
    await settled(kube)

    before = kube.writes()
    reconciles = await first.metric("heterollm_reconciles_total")
    await asyncio.sleep(HALF)
    assert await first.metric("heterollm_reconciles_total") - reconciles >= 2 * HALF / 2.2 - 2
    await first.stop()
    second = await operator("--resync=2")
    await eventually(second.leads)
    await asyncio.sleep(HALF)
    assert await second.metric("heterollm_reconciles_total") >= 2 * HALF / 2.2 - 2
    assert kube.writes()[len(before) :] == []


async def settled(kube: Kube) -> None:
    """Wait until the controllers have made their pods and nothing has been written for a while."""
    count, quiet = -1, 0.0
    while quiet < QUIET:
        await asyncio.sleep(1)
        now = len(kube.writes(agent=""))
        quiet = quiet + 1 if now == count else 0.0
        count = now
