"""Whatever ends in whatever moment: in the end there is what the spec says, once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heterollm_operator.kube.kinds import CLUSTER, LEASE, find
from tests.apiserver.conftest import Audited, StartOperator, administrator, operators
from tests.apiserver.kube import Kube, eventually, sample

STATEFUL_SET = find("apps/v1", "StatefulSet")


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[Audited, Kube]]:
    """A control plane that the test may stop."""
    audited = Audited.start(tmp_path / "control-plane")
    with audited.control_plane:
        async with administrator(audited) as kube:
            yield audited, kube


@pytest.mark.parametrize("crash", [False, True])
async def test_an_api_server_that_comes_back_is_served_again(
    own: tuple[Audited, Kube], tmp_path: Path, crash: bool
) -> None:
    audited, kube = own
    async with operators(kube, tmp_path) as operator:
        first = await operator(restart=True)
        await eventually(first.leads)
        second = await operator(restart=True)
        await eventually(second.ready)
        await kube.apply(CLUSTER, sample("before"))
        await eventually(lambda: kube.programmed("before"))
        starts = first.starts  # a server that ends in peace may take longer to do so than the leader has
        await asyncio.to_thread(audited.control_plane.stop_apiserver, kill=crash)

        async def ended() -> bool:
            return first.starts > starts

        await eventually(ended)  # after the renew deadline
        await asyncio.to_thread(audited.control_plane.start_apiserver)
        await kube.apply(CLUSTER, sample("after"))
        await kube.apply(CLUSTER, sample("before", engines=3))
        for name in ("after", "before"):
            await eventually(lambda name=name: kube.programmed(name), 40)  # type: ignore[misc]
        assert len(await kube.find(STATEFUL_SET)) == 3 + 4
        await eventually(first.ready)
        await eventually(second.ready)
        leaders = [await process.leads() for process in (first, second)]
        assert sorted(leaders) == [False, True]


async def test_killed_at_random_moments_it_converges(kube: Kube, operator: StartOperator) -> None:
    """Creation, change and deletion, with the operator killed again and again in between."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)

    async def disturbed() -> None:
        for _ in range(3):
            process = await operator()
            await eventually(process.leads)
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            await process.kill()
            await kube.delete(LEASE, "heterollm-operator")  # the next one need not wait for its end

    await kube.apply(CLUSTER, sample(engines=4))
    await disturbed()
    changed = sample(engines=2)
    changed["spec"]["tiers"].pop()  # the large tier goes
    await kube.apply(CLUSTER, changed)
    await disturbed()
    last = await operator()
    await eventually(last.leads)
    await eventually(lambda: kube.programmed("demo"))

    async def converged() -> bool:
        engines = {name for name in await kube.children("demo") if name.startswith("StatefulSet/")}
        return engines == {"StatefulSet/demo-small-0", "StatefulSet/demo-small-1"}

    await eventually(converged)
    assert not any("large" in name for name in await kube.children("demo")), "no orphan of the tier that went"
    await last.kill()
    await kube.delete(CLUSTER, "demo")

    async def gone() -> bool:
        return not await kube.children("demo", pods=True)

    await eventually(gone, 40)
