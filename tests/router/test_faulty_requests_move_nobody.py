"""The whole chain: a router counts, a Prometheus computes, the operator reads, and the steering decides."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from heterollm_controllers.api.signals import TierSignal
from tests.router.agent import Agent
from tests.router.chain import read
from tests.router.engine import Answer, Engine, ok
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.test_poison_requests import exception, poisoned
from tests.shell.prometheus_tools import needs
from tests.steering.world import World

pytestmark = needs("prometheus", "promtool")

TURNS = 12


@pytest.mark.parametrize("large", [ok, exception])
@pytest.mark.parametrize(("answer", "state"), [(poisoned(exception), "Normal"), (exception, "Escalated")])
async def test_one_client_in_six_is_well_and_the_tier_stays_or_none_is_and_it_rests(
    answer: Answer, state: str, large: Answer, tmp_path: Path
) -> None:
    """Ten requests that fail on all engines, and two others: of a tier that works, and of one that does not."""
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(f"s{number}", answer)) for number in range(3)]
        last = await stack.enter_async_context(Engine("l0", large))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines), tier("large", last))))
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        client = await stack.enter_async_context(envoy.session())
        before = (await agent.get("/metrics"))[1]
        for turn in range(TURNS):
            for number in range(12):
                text = f"poison {turn} {number}" if number < 10 else f"question {turn} {number}"
                await client.post("/v1/chat/completions", json=chat(text, model="small"))
        after = (await agent.get("/metrics"))[1]
    small = dict((await read(tmp_path, before, after)).tiers["small"])
    if state == "Normal":
        assert small[TierSignal.FAILED] == pytest.approx(0, abs=0.1)
    else:
        assert small[TierSignal.FAILED] == pytest.approx(small[TierSignal.TRIED])
    world = World()
    world.small.rates = lambda: small  # type: ignore[method-assign]
    world.seconds(300)
    assert world.state == state
