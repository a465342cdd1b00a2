"""The whole chain: a real router counts, a real Prometheus computes, the poller reads, and the steering decides."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from heterollm_controllers.api.signals import TierSignal
from tests.router.agent import Agent
from tests.router.chain import read
from tests.router.engine import Answer, Engine, error
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.replies import says
from tests.shell.prometheus_tools import needs
from tests.steering.world import World

pytestmark = needs("prometheus", "promtool")

_REQUESTS = 60


@pytest.mark.parametrize(("answer", "state", "failed"), [(says(""), "Normal", 0.0), (error, "Escalated", 1.0)])
async def test_only_a_tier_that_gives_no_answers_is_escalated(
    answer: Answer, state: str, failed: float, tmp_path: Path
) -> None:
    before, after = await _pages(answer)
    small = dict((await read(tmp_path, before, after)).tiers["small"])
    assert small[TierSignal.TRIED] == pytest.approx(1, rel=0.1)
    assert small[TierSignal.FAILED] == pytest.approx(failed * small[TierSignal.TRIED])
    world = World()
    world.small.rates = lambda: small  # type: ignore[method-assign]
    world.seconds(300)
    assert world.state == state


async def _pages(answer: Answer) -> tuple[str, str]:
    """What a router says before and after a minute's requests for a tier whose engine always answers like this."""
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0", answer))
        large = await stack.enter_async_context(Engine("l0"))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", small), tier("large", large))))
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        client = await stack.enter_async_context(envoy.session())
        before = (await agent.get("/metrics"))[1]
        for _ in range(_REQUESTS):
            got = await client.post("/v1/chat/completions", json=chat(model="small"))
            assert (got.status, got.headers["x-llm-tier"]) == (200, "large")
        return before, (await agent.get("/metrics"))[1]
