"""The whole chain: a real router counts, a real Prometheus computes, the poller reads, and the steering decides."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from heterollm_controllers.steering.signals import Readings, TierSignal
from heterollm_controllers.steering.steer import Memory, SteeringInput
from heterollm_operator.clock import SystemClock
from heterollm_operator.metrics import Metrics
from heterollm_operator.poller import Poller, Polling
from heterollm_operator.prometheus import Prometheus
from heterollm_operator.store import Key
from tests.router.agent import Agent
from tests.router.engine import Answer, Engine, error
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.replies import says
from tests.shell.objects import spec
from tests.shell.prometheus_tools import needs, prometheus
from tests.steering.world import World

pytestmark = needs("prometheus", "promtool")

_KEY = Key("here", "demo")
"""As the agent of the tests says."""
_EVERY = 15
_REQUESTS = 60
_SAMPLE = re.compile(r"(heterollm_router_\w+)\{(.*)\} (\S+)")
_SCRAPED = 'namespace="here",pod="r1",job="pods",instance="r1:1"'


@pytest.mark.parametrize(("answer", "state", "failed"), [(says(""), "Normal", 0.0), (error, "Escalated", 1.0)])
async def test_only_a_tier_that_gives_no_answers_is_escalated(
    answer: Answer, state: str, failed: float, tmp_path: Path
) -> None:
    before, after = await _pages(answer)
    with prometheus(tmp_path, "\n".join(_written(before, after)) + "\n") as url:
        small = dict((await _readings(url)).tiers["small"])
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


def _written(before: str, after: str) -> Iterator[str]:
    """Ten minutes of scrapes in OpenMetrics, in the last of which the requests had come."""
    last = int(time.time()) - 2
    times = range(last - 600, last, _EVERY)
    first = {name + labels for name, labels, _ in _samples(before)}
    heads = set()
    for name, labels, value in sorted(_samples(after)):
        if name not in heads:
            heads.add(name)
            yield f"# TYPE {name} unknown"
        series = f"{name}{{{labels},{_SCRAPED}}}"
        if name + labels in first:
            yield from (f"{series} {value} {at}" for at in times)
        yield f"{series} {value} {last}"
    yield "# EOF"


def _samples(page: str) -> list[tuple[str, str, str]]:
    found = (_SAMPLE.fullmatch(line) for line in page.splitlines())
    return [(match[1], match[2], match[3]) for match in found if match is not None and "milliseconds" not in match[1]]


async def _readings(url: str) -> Readings:
    clock = SystemClock()
    known = {_KEY: SteeringInput(spec("small", "large"), (), Memory())}
    poller = Poller(
        Prometheus(url, clock.utc), Polling(), lambda: known, lambda *_: False, lambda _: None, Metrics(), clock
    )
    await poller.tick()
    found = poller.readings(_KEY)
    assert found is not None
    assert found.failure == ""
    return found
