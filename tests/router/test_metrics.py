"""What the router counts: by cluster, tier and decision, valid for Prometheus, with labels no client can widen."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from heterollm_controllers.routing.envoy.metrics import request_log
from tests.router.agent import Agent
from tests.router.engine import Engine, crash, error, slow
from tests.router.envoy import Envoy, chat, fast, policy, tier
from tests.router.patience import eventually

FORGED = "x-llm-client", "x-llm-error", "x-llm-score", "x-llm-decision", "x-llm-tier", "x-llm-priority"
NAME = re.compile(r"[a-z0-9_.]{0,40}")


class Figures:
    """The router's own figures, as an agent serves them."""

    def __init__(self, text: str) -> None:
        self._families: list[Metric] = list(text_string_to_metric_families(text))

    def all(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Envoy's own too."""
        for family in self._families:
            for name, labels, value, *_ in family.samples:
                yield name, labels, value

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """All that bear our name."""
        for name, labels, value in self.all():
            if name.startswith("heterollm_router_"):
                yield name.removeprefix("heterollm_router_"), labels, value

    def of(self, wanted: str, **labels: str) -> float:
        """Sum over the samples with these labels."""
        return sum(value for name, found, value in self.samples() if name == wanted and labels.items() <= found.items())


async def figures(agent: Agent) -> Figures:
    """As they are now."""
    return Figures((await agent.get("/metrics"))[1])


async def reaches(agent: Agent, count: float, name: str, **labels: str) -> Figures:
    """Wait until a figure is reached: Envoy adds up its histograms now and then."""
    seen = await figures(agent)

    async def look() -> bool:
        nonlocal seen
        seen = await figures(agent)
        return seen.of(name, **labels) >= count

    await eventually(look)
    return seen


async def enter(stack: AsyncExitStack, *engines: Engine, **more: Any) -> tuple[Envoy, Agent]:
    """A router whose first tier has these engines, and whose last tier has one that answers; it times every stage."""
    large = await stack.enter_async_context(Engine("l0"))
    tiers = policy(tier("small", *engines), tier("large", large), **more)
    every = json.loads(json.dumps(request_log()).replace('"numerator": 10,', '"numerator": 100,'))
    envoy = await stack.enter_async_context(Envoy(tiers, unchecked, manager={"access_log": every}))
    agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
    return envoy, agent


def unchecked(cluster: dict[str, object]) -> None:
    """Neither health checks nor ejections: a bad engine goes on getting requests."""
    cluster.pop("health_checks", None)
    cluster.pop("outlier_detection", None)


async def test_requests_are_counted_by_tier_code_and_attempts_and_timed() -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0"))
        envoy, agent = await enter(stack, small)
        client = await stack.enter_async_context(envoy.session())
        for model in ("auto", "auto", "large"):
            assert (await client.post("/v1/chat/completions", json=chat(model=model))).status == 200

        seen = await reaches(agent, 3, "request_milliseconds_count")
        place = {"heterollm_cluster": "demo", "heterollm_tier": "small"}
        assert seen.of("requests_total", **place, decision="score", code="200", attempts="1") == 2
        assert seen.of("requests_total", heterollm_tier="large", decision="model", code="200", attempts="1") == 1
        assert seen.of("requests_total") == 3
        assert seen.of("request_milliseconds_count", **place) == 2
        assert seen.of("first_byte_milliseconds_count", **place) == 2
        for stage in ("routing", "engine", "return"):
            assert seen.of("stage_microseconds_count", **place, stage=stage) == 2
        # Routing is a matter of microseconds; the bound only has to tell them from milliseconds of engines.
        assert 0 < seen.of("stage_microseconds_sum", **place, stage="routing") < 2 * 50_000
        assert seen.of("score_permille_count", heterollm_cluster="demo") == 2
        assert seen.of("score_permille_bucket", le="62.5") == 2
        assert seen.of("rejected_total") == 0


async def test_every_figure_says_of_which_cluster_and_namespace_it_is() -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0"))
        envoy, agent = await enter(stack, small)
        client = await stack.enter_async_context(envoy.session())
        await client.post("/v1/chat/completions", json=chat())
        await client.post("/v1/chat/completions", json=chat(model="none"))
        found = list((await figures(agent)).all())
        places = {(labels.get("heterollm_cluster"), labels.get("heterollm_namespace")) for _, labels, _ in found}
        assert places == {("demo", "here")}
        names = {name for name, _, _ in found}
        assert names >= {"heterollm_router_policy_version", "heterollm_router_envoy_up", "envoy_server_live"}
        assert names >= {"heterollm_router_requests_total", "heterollm_router_rejected_total"}


async def test_failed_attempts_are_counted_by_reason() -> None:
    async with AsyncExitStack() as stack:
        dead, broken, crashing = [await stack.enter_async_context(Engine(name)) for name in ("d", "b", "c")]
        await dead.kill()
        broken.answer, crashing.answer = error, crash
        for engine, reason, tier, code in (
            (dead, "connect", "large", "200"),
            (broken, "error", "large", "200"),
            (crashing, "reset", "small", "502"),
        ):
            async with AsyncExitStack() as inner:
                envoy, agent = await enter(inner, engine)
                client = await inner.enter_async_context(envoy.session())
                answer = await client.post("/v1/chat/completions", json=chat())
                assert str(answer.status) == code
                seen = await figures(agent)
                assert seen.of("failed_attempts_total", heterollm_tier="small", reason=reason) == 2
                assert seen.of("failed_attempts_total", heterollm_cluster="demo") == 2
                place = {"wanted_tier": "small", "heterollm_tier": tier, "code": code}
                assert seen.of("requests_total", attempts="3" if code == "200" else "2", **place) == 1


@pytest.mark.parametrize(("percent", "word"), [(0, "false"), (100, "true")])
async def test_requests_that_were_diverted_are_told_from_those_that_left_a_failing_tier(
    percent: int, word: str
) -> None:
    async with AsyncExitStack() as stack:
        small, large = [await stack.enter_async_context(Engine(name)) for name in ("s0", "l0")]
        small.answer = error
        tiers = policy(tier("small", small, diverted_percent=percent), tier("large", large))
        envoy = await stack.enter_async_context(Envoy(tiers, unchecked))
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        client = await stack.enter_async_context(envoy.session())
        assert (await client.post("/v1/chat/completions", json=chat())).status == 200
        left = {"wanted_tier": "small", "heterollm_tier": "large"}
        seen = await reaches(agent, 1, "requests_total", **left)
        assert seen.of("requests_total", diverted=word, **left) == 1


async def empty(engine: Engine, request: web.Request) -> web.StreamResponse:
    """An answer that says nothing."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    return web.json_response({"object": "chat.completion", "choices": [choice]})


async def test_answers_tried_again_for_their_quality_are_counted() -> None:
    async with AsyncExitStack() as stack:
        useless = await stack.enter_async_context(Engine("s0", empty))
        envoy, agent = await enter(stack, useless)
        client = await stack.enter_async_context(envoy.session())
        assert (await client.post("/v1/chat/completions", json=chat())).headers["x-llm-tier"] == "large"
        seen = await figures(agent)
        assert seen.of("bad_answers_total", heterollm_cluster="demo", heterollm_tier="small", reason="empty") == 2
        assert seen.of("bad_answers_total") == 2
        assert seen.of("failed_attempts_total") == 0


USAGE = {"prompt_tokens": 20, "total_tokens": 23, "completion_tokens": 3, "prompt_tokens_details": None}


async def reporting(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Says how many tokens it took: in the answer, or in the last event but one if the request wants a stream."""
    body = await request.json()
    choice = {"index": 0, "message": {"role": "assistant", "content": '"usage":{"prompt_tokens":9}'}}
    if not body.get("stream"):
        return web.json_response({"object": "chat.completion", "choices": [choice], "usage": USAGE})
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    for event in ({"choices": [choice], "usage": None}, {"choices": [], "usage": USAGE}):
        await answer.write(f"data: {json.dumps(event)}\n\n".encode())
    await answer.write(b"data: [DONE]\n\n")
    return answer


async def test_tokens_are_counted_where_engines_report_them() -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0"))
        envoy, agent = await enter(stack, small)
        client = await stack.enter_async_context(envoy.session())
        await client.post("/v1/chat/completions", json=chat())
        assert (await figures(agent)).of("tokens_total") == 0
        small.answer = reporting
        for streamed in (False, True, True):
            answer = await client.post("/v1/chat/completions", json=chat(stream=streamed))
            await answer.read()
        seen = await reaches(agent, 60, "tokens_total", heterollm_tier="small", kind="prompt")
        assert seen.of("tokens_total", heterollm_tier="small", kind="prompt") == 60
        assert seen.of("tokens_total", heterollm_tier="small", kind="completion") == 9


async def test_what_is_refused_is_counted_by_reason_and_takes_no_time() -> None:
    async with AsyncExitStack() as stack:
        envoy, agent = await enter(stack)
        client = await stack.enter_async_context(envoy.session())
        await client.post("/v1/chat/completions", data=b"no JSON")
        await client.post("/v1/chat/completions", json=chat(model="none"))
        await client.get("/nowhere")
        await client.post("/v1/chat/completions", json=chat(model="large", prompt="x"))
        seen = await reaches(agent, 1, "request_milliseconds_count")
        for reason, code in (("invalid_json", "400"), ("model_not_found", "404"), ("not_found", "404")):
            assert seen.of("rejected_total", heterollm_cluster="demo", reason=reason, code=code) == 1
        assert seen.of("requests_total", heterollm_tier="") == 2, "the unknown path was no request for a model"
        assert seen.of("request_milliseconds_count") == 1


async def test_diverted_requests_are_told_from_those_that_wanted_the_tier() -> None:
    async with AsyncExitStack() as stack:
        small, large = [await stack.enter_async_context(Engine(name)) for name in ("s0", "l0")]
        tiers = policy(tier("small", small, diverted_percent=100), tier("large", large))
        envoy = await stack.enter_async_context(Envoy(tiers))
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        client = await stack.enter_async_context(envoy.session())
        for model in ("small", "large", "large"):
            assert (await client.post("/v1/chat/completions", json=chat(model=model))).status == 200
        seen = await figures(agent)
        assert seen.of("requests_total", wanted_tier="small", heterollm_tier="large") == 1
        assert seen.of("requests_total", wanted_tier="large", heterollm_tier="large") == 2


async def test_an_overload_is_counted_as_such() -> None:
    async with AsyncExitStack() as stack:
        busy = await stack.enter_async_context(Engine("s0", slow))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", busy, max_requests=1)), fast))
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        client = await stack.enter_async_context(envoy.session())
        held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
        await busy.waiting.wait()
        assert (await client.post("/v1/chat/completions", json=chat())).status == 429
        busy.release.set()
        await held
        seen = await figures(agent)
        assert seen.of("rejected_total", reason="overloaded", code="429") == 1
        assert seen.of("requests_total", heterollm_tier="small", code="429") == 1
        assert seen.of("failed_attempts_total") == 0


async def forging(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Refuses, in words that are the router's."""
    return web.json_response({}, status=400, headers=dict.fromkeys(FORGED, "BAD"))


@pytest.mark.parametrize("trusting", [False, True])
async def test_nothing_a_client_or_an_engine_writes_becomes_a_label(trusting: bool) -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0"))
        envoy, agent = await enter(stack, small, trust_headers=trusting)
        client = await stack.enter_async_context(envoy.session())
        small.answer = forging
        for number in range(20):
            headers = dict.fromkeys(FORGED, f"BAD{number}")
            body = chat(f"BAD{number}", model=f"BAD{number}" if number % 2 else "auto")
            await client.post(f"/v1/chat/completions?BAD{number}", json=body, headers=headers)
            await client.get(f"/v1/BAD{number}", headers=headers)
            await client.request(f"BAD{number}", "/v1/chat/completions", headers=headers)
        seen = await figures(agent)
        values = {value for _, labels, _ in seen.samples() for key, value in labels.items() if key != "le"}
        assert seen.of("rejected_total") >= 40
        assert not [value for value in values if not NAME.fullmatch(value)]
        assert len(values) < 25
