"""Answers that are of no use are asked for again, with other parameters, and passed on if nothing better comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heterollm_controllers.routing.ir import Retries, RetryChange
from tests.router.engine import Answer, Engine, error, ok
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.replies import CHANGES, calls, chose, in_turn, routed, says, whole

JSON_MODE: dict[str, object] = {"response_format": {"type": "json_object"}}
SCHEMA: dict[str, object] = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}
TOOLS: dict[str, object] = {
    "tools": [{"type": "function", "function": {"name": "look up", "parameters": {"type": "object"}}}]
}
FUNCTIONS: dict[str, object] = {"functions": [{"name": "look up"}]}
NAMED: dict[str, object] = TOOLS | {"tool_choice": {"type": "function", "function": {"name": "look up"}}}
BAD: Sequence[tuple[str, dict[str, object], Answer]] = [
    ("empty", {}, says("")),
    ("empty", {}, says("", None)),
    ("empty", {}, says(None)),
    ("empty", {}, says(" \n\t")),
    ("empty", {}, says([])),
    ("empty", {}, says(None, tool_calls=[])),
    ("empty", {}, says(None, refusal=None, audio=None, reasoning_content=None, annotations=[])),
    ("empty", {}, says(None, "tool_calls")),
    ("empty", {}, chose()),
    ("empty", {}, chose({"index": 0, "text": "", "finish_reason": "stop"})),
    ("empty", {"n": 2}, chose({"message": {"content": ""}}, {"message": {"content": "\n"}})),
    ("empty", {"max_tokens": 50}, says("")),
    ("empty", {"stop": ["END"]}, says("", choice={"matched_stop": 151645})),
    ("invalid_json", JSON_MODE, says("Sure! Here it is.")),
    ("invalid_json", JSON_MODE, says('{"a": 1')),
    ("invalid_json", JSON_MODE, says('```json\n{"a": \n```')),
    ("invalid_json", JSON_MODE, says("[1]")),
    ("invalid_json", SCHEMA, says("yes")),
    ("wrong_tool_call", {}, calls("look up", "{}")),
    ("wrong_tool_call", {}, says("one moment", tool_calls=[{"function": {"name": "look up", "arguments": "{}"}}])),
    ("wrong_tool_call", {}, says("one moment", function_call={"name": "look up", "arguments": "{}"})),
    ("wrong_tool_call", TOOLS, calls("look down", "{}")),
    ("wrong_tool_call", TOOLS, calls("look up", "{'a': 1}")),
    ("wrong_tool_call", TOOLS, says(None, tool_calls=[None])),
    ("wrong_tool_call", FUNCTIONS, says(None, function_call={"name": "look down", "arguments": "{}"})),
    ("wrong_tool_call", TOOLS | {"tool_choice": "required"}, says("I need no tool.")),
    ("wrong_tool_call", NAMED, says("")),
]
GOOD: Sequence[tuple[dict[str, object], Answer]] = [
    ({}, says("0")),
    ({}, says('"\\')),
    ({}, says("\n0", tool_calls=None)),
    ({}, says('a "message": {"role": "assistant", "content": ""}')),
    ({}, says([{"type": "text", "text": "parts"}])),
    ({}, says('{"not": "asked for"')),
    ({}, whole({"choices": None, "output": [{"type": "message"}]})),
    (JSON_MODE, says(' {"a": "\\"é\\u00e9\\n"}\n')),
    (JSON_MODE | TOOLS, calls("look up", "{}")),
    (SCHEMA, says("[1, 2]")),
    (SCHEMA, says("7")),
    ({"response_format": {"type": "text"}}, says("{")),
    (TOOLS, says("no tool needed")),
    (TOOLS, calls("look up", '{"city": "Z\\u00fcrich", "deep": {"er": [1]}}')),
    (NAMED, calls("look up", "{}")),
    (FUNCTIONS, says(None, function_call={"name": "look up", "arguments": "{}"})),
]


async def test_bad_answers_are_asked_for_again_and_good_ones_are_not() -> None:
    async with routed(ok) as router:
        for reason, request, bad in BAD:
            router.engine.answer = in_turn(bad, _good_for(request))
            answer = await router.post(request)
            assert (answer.headers["x-llm-attempts"], answer.headers.get("x-llm-quality")) == ("2", None), (
                reason,
                request,
            )
            router.engine.answer = bad
            answer = await router.post(request, **{"x-llm-retries": "0"})
            assert (answer.status, answer.headers.get("x-llm-quality")) == (200, reason), request
        for request, good in GOOD:
            router.engine.answer = good
            answer = await router.post(request)
            assert (answer.headers["x-llm-attempts"], answer.headers.get("x-llm-quality")) == ("1", None), request


def _good_for(request: dict[str, object]) -> Answer:
    return calls("look up", "{}") if {"tools", "functions"} & request.keys() else says('{"a": 1}')


async def test_what_stays_bad_is_passed_on_as_it_is() -> None:
    async with routed(says("", note={}), Retries()) as router:
        answer = await router.post()
        assert (answer.status, answer.headers["x-llm-quality"], answer.headers["x-llm-attempts"]) == (200, "empty", "4")
        assert (await answer.json())["choices"][0]["message"]["note"] == {}
        assert "x-envoy-ratelimited" not in answer.headers


async def test_each_retry_sends_the_declared_changes_and_nothing_else() -> None:
    async with routed(says("")) as router:
        body = chat('{"temperature": 9, \\', temperature=0.9, max_tokens=101, seed=12345678901, top_p=0.5)
        await router.client.post("/v1/chat/completions", json=body)
        first, second, third, fourth = router.engine.requests
        assert first == body
        assert second == body | {"temperature": 0.2}
        assert third == body | {"temperature": 0, "max_tokens": 50}
        seed = fourth["seed"]
        assert fourth == body | {"temperature": 0, "max_tokens": 25, "seed": seed}
        assert isinstance(seed, int)
        assert seed != body["seed"]
        for headers, sent in zip(router.engine.headers, router.engine.requests, strict=True):
            assert int(headers["content-length"]) >= len(json.dumps(sent, separators=(",", ":")))


async def test_only_what_the_client_sent_is_scaled_and_reseeded() -> None:
    """The third answer is the likeliest one: a fourth attempt would give it again, and is not made."""
    async with routed(says("")) as router:
        for body in (chat(), {"model": "small"}, chat(max_tokens=None, seed="x")):
            router.engine.requests.clear()
            await router.client.post("/v1/chat/completions", json=body)
            assert router.engine.requests == [body, *(body | {"temperature": t} for t in (0.2, 0))]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
FIELDS = st.sampled_from(["temperature", *TOKENS, "seed", 'a"}', "messages", "\\"])


async def test_any_request_keeps_all_else() -> None:
    """Against the same changes made by a JSON library."""
    bodies = _any_bodies()
    change = RetryChange(temperature=0.5, max_tokens_factor=0.5)
    async with routed(in_turn(says("")), Retries(limit=1, changes=(change,))) as router:
        for body in bodies:
            router.engine.requests.clear()
            answer = await router.client.post("/v1/completions", data=body)
            assert answer.status == 200, (body, await answer.text())
            first, second = router.engine.requests
            assert first == json.loads(body)
            assert second == _changed(first), body


def _any_bodies() -> list[bytes]:
    """Drawn before the engine runs, which could not answer its health checks meanwhile."""
    bodies: list[bytes] = []

    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(FIELDS, JSON_VALUES, max_size=5), st.booleans(), st.sampled_from([None, 1]))
    def collect(body: dict[str, object], ascii_only: bool, indent: int | None) -> None:
        text = json.dumps(body | {"model": "small"}, ensure_ascii=ascii_only, indent=indent)
        # Half a character is no text.
        bodies.append(text.encode(errors="replace"))

    collect()
    return bodies


def _changed(body: dict[str, object]) -> dict[str, object]:
    changed = body | {"temperature": 0.5}
    for name in TOKENS:
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 2**40:
            changed[name] = max(1, int(f"{float(value) * 0.5 // 1:.0f}"))
    return changed


async def test_transport_failures_and_errors_are_resent_unchanged() -> None:
    async with routed(error) as router:
        await router.post({"temperature": 1})
        assert [sent["temperature"] for sent in router.engine.requests] == [1, 1, 1, 1]


async def test_a_failure_after_a_bad_answer_is_resent_with_what_was_sent() -> None:
    async with routed(in_turn(error, says(""), error, says("good"))) as router:
        answer = await router.post({"temperature": 1})
        assert answer.headers["x-llm-attempts"] == "4"
        assert [sent["temperature"] for sent in router.engine.requests] == [1, 1, 0.2, 0.2]


async def test_the_changes_apply_to_every_failure_where_the_policy_says_so() -> None:
    async with routed(error, Retries(changes=CHANGES, change_on_every_failure=True)) as router:
        await router.post({"temperature": 1})
        assert [sent["temperature"] for sent in router.engine.requests] == [1, 0.2, 0, 0]


async def test_the_last_change_serves_for_further_retries() -> None:
    async with routed(says(""), Retries(changes=CHANGES[:1])) as router:
        await router.post({"temperature": 1})
        assert [sent["temperature"] for sent in router.engine.requests] == [1, 0.2, 0.2, 0.2]


@pytest.mark.parametrize("asked", [{}, {"temperature": 0.7}, {"seed": 7}, {"seed": None}])
@pytest.mark.parametrize("changes", [(), CHANGES[:1], (RetryChange(temperature=0.7),)])
async def test_no_request_is_sent_again_as_it_was(asked: dict[str, object], changes: tuple[RetryChange, ...]) -> None:
    async with routed(says(""), Retries(changes=changes)) as router:
        answer = await router.post(asked)
        assert (answer.status, answer.headers["x-llm-attempts"]) == (200, "4")
        sent = [json.dumps(request, sort_keys=True) for request in router.engine.requests]
        assert len(set(sent)) == len(sent) == 4
        assert router.engine.requests[0] == chat() | asked


@pytest.mark.parametrize("asked", [{"temperature": 0}, {"temperature": 0.0, "seed": 7}, {"top_k": 1, "temperature": 1}])
async def test_what_would_be_answered_as_before_is_not_asked_again(asked: dict[str, object]) -> None:
    """The likeliest tokens are the same whatever the seed."""
    async with routed(says(""), Retries()) as router:
        answer = await router.post(asked)
        assert (answer.status, answer.headers["x-llm-quality"], answer.headers["x-llm-attempts"]) == (200, "empty", "1")
        assert router.engine.requests == [chat() | asked]
        await router.envoy.publish(policy(tier("small", router.engine), retries=Retries(changes=CHANGES[:1])))
        router.engine.requests.clear()
        answer = await router.post({"temperature": 0})
        assert [sent["temperature"] for sent in router.engine.requests] == [0, 0.2, 0.2, 0.2]


async def test_bad_answers_eject_no_engine() -> None:
    """Else one client whose requests cannot be answered well would take the engines from all."""
    async with routed(says("")) as router:
        for _ in range(5):
            await router.post()
        ejections = await router.envoy.stats("ejections_(active|enforced_total)$")
        assert ejections
        assert set(ejections.values()) == {0}


async def test_another_engine_then_the_next_tier_are_asked() -> None:
    async with AsyncExitStack() as stack:
        a, b, large = [await stack.enter_async_context(Engine(name, says(""))) for name in ("a", "b", "l")]
        large.answer = in_turn(says(""), ok)
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", a, b), tier("large", large))))
        client = await stack.enter_async_context(envoy.session())
        answer = await client.post("/v1/chat/completions", json=chat())
        assert (answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == ("large", "4")
        assert [len(engine.requests) for engine in (a, b, large)] == [1, 1, 2]


async def test_a_policy_without_checks_passes_everything() -> None:
    async with routed(says(""), Retries(check_quality=False)) as router:
        answer = await router.post()
        assert (answer.headers["x-llm-attempts"], answer.headers.get("x-llm-quality")) == ("1", None)


async def test_changed_changes_are_live() -> None:
    async with routed(says("")) as router:
        await router.envoy.publish(
            policy(tier("small", router.engine), retries=Retries(1, changes=(RetryChange(1.5),)))
        )
        await router.post()
        assert [sent.get("temperature") for sent in router.engine.requests] == [None, 1.5]
        assert "seed" not in router.engine.requests[1]


@pytest.mark.parametrize("size", [2 << 20, 1 << 10])
async def test_answers_of_unknown_or_great_length_are_passed_on_unchecked(size: int) -> None:
    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        body = json.dumps({"choices": [], "padding": "x" * size}).encode()
        if size > 1 << 20:
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        await response.write(body)
        return response

    async with routed(answer) as router:
        got = await router.post()
        assert (got.status, got.headers["x-llm-attempts"]) == (200, "1")
        assert len(await got.read()) > size


async def test_large_requests_are_changed_and_large_answers_checked() -> None:
    text = "x" * (7 << 20)
    async with routed(in_turn(says(""), says("y" * 1_000_000))) as router:
        answer = await router.post({"prompt": text})
        assert (answer.status, answer.headers["x-llm-attempts"]) == (200, "2")
        assert len(await answer.read()) > 1_000_000
        assert router.engine.requests[1] == router.engine.requests[0] | {"temperature": 0.2}


async def test_an_engine_that_dies_within_its_answer_is_not_passed_on() -> None:
    """What is checked is held back until it is complete."""

    async def dies(engine: Engine, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"choices"')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with routed(in_turn(dies, ok)) as router:
        answer = await router.post()
        assert (answer.status, answer.headers["x-llm-attempts"]) == (200, "2")
        assert (await answer.json())["model"] == "s0"
