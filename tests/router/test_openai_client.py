"""OpenAI's own Python client, unmodified, against the router: what its users see, in its types and exceptions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import openai
import pytest
import pytest_asyncio
from aiohttp import web
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from heterollm_controllers.routing.ir import Endpoint, Retries, RetryChange, TierRoute
from simulated_engine import application, config
from simulated_engine.engine import Engine as Simulation
from simulated_engine.engine import State
from tests.router.engine import Answer, Engine, crash, error, ok, queue_full, slow
from tests.router.envoy import Envoy, policy, tier

MIB = 1 << 20
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Capital(BaseModel):
    """What is asked for as structured output."""

    country: str
    city: str


@asynccontextmanager
async def simulated(name: str, *words: str) -> AsyncIterator[TierRoute]:
    """A tier of one simulated engine, as its image runs it, but in this process and without latency."""
    given = [
        "--model-path",
        f"model/{name}",
        "--sim-tier",
        name,
        "--sim-engine",
        f"{name}-0",
        "--sim-profile",
        "instant",
    ]
    engine = Simulation(config.from_words([*given, *words]))
    engine.state = State.UP
    runner = web.AppRunner(application.leader(engine), handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield TierRoute(name, f"model/{name}", (Endpoint(f"{name}-0", "127.0.0.1", runner.addresses[0][1]),))
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[AsyncOpenAI]:
    """The client of a router with two tiers of simulated engines and a body limit of 1 MiB."""
    async with (
        simulated("small") as small,
        simulated("large") as large,
        Envoy(policy(small, large, body_limit=MIB)) as envoy,
        AsyncOpenAI(base_url=f"{envoy.url}/v1", api_key="none", max_retries=0, timeout=20) as made,
    ):
        yield made


in_module = pytest.mark.asyncio(loop_scope="module")

Routed = Callable[..., Awaitable[AsyncOpenAI]]


@pytest.fixture
async def routed() -> AsyncIterator[Routed]:
    """Makes the client of a router whose one tier consists of these engines."""
    async with AsyncExitStack() as stack:

        async def make(*engines: Engine, max_retries: int = 0, **more: Any) -> AsyncOpenAI:
            for engine in engines:
                await stack.enter_async_context(engine)
            envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines), **more)))
            made = AsyncOpenAI(base_url=f"{envoy.url}/v1", api_key="none", max_retries=max_retries, timeout=20)
            return await stack.enter_async_context(made)

        yield make


def says(content: str | None, **message: object) -> Answer:
    """An engine's answer in full."""

    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content, **message},
            "finish_reason": "tool_calls" if content is None else "stop",
        }
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": engine.name, "usage": usage}
        return web.json_response({**whole, "choices": [choice]})

    return answer


def calls(name: str, arguments: object) -> Answer:
    """An engine's call of a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return says(None, tool_calls=[{"id": "call_1", "type": "function", "function": function}])


def in_turn(*answers: Answer) -> Answer:
    """One after the other."""
    left = iter(answers)

    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        return await next(left)(engine, request)

    return answer


@in_module
async def test_a_plain_answer(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=HELLO, max_tokens=12)
    assert answer.choices[0].message.content is not None
    assert answer.choices[0].message.content.startswith("[simulated answer: tier small, engine small-0")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@in_module
async def test_the_headers_tell_who_answered_and_why(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    assert answer.headers["x-llm-tier"] == "small"
    assert 0 <= float(answer.headers["x-llm-score"]) < 0.7
    assert answer.headers["x-llm-attempts"] == "1"
    assert answer.parse().choices[0].message.role == "assistant"


@in_module
@pytest.mark.parametrize(("model", "answering"), [("large", "large"), ("model/large", "large"), ("small", "small")])
async def test_a_tier_or_model_by_name(client: AsyncOpenAI, model: str, answering: str) -> None:
    answer = await client.chat.completions.create(model=model, messages=HELLO)
    assert f"tier {answering}," in str(answer.choices[0].message.content)


@in_module
async def test_a_streamed_answer(client: AsyncOpenAI) -> None:
    events = [
        event
        async for event in await client.chat.completions.create(
            model="auto", messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
    ]
    text = "".join(choice.delta.content or "" for event in events for choice in event.choices)
    assert text.startswith("[simulated answer: tier small")
    finished = [choice.finish_reason for event in events for choice in event.choices if choice.finish_reason]
    assert len(finished) == 1
    assert events[-1].usage is not None
    assert events[-1].usage.completion_tokens == 12


@in_module
async def test_a_stream_left_early_harms_nobody(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="auto", messages=HELLO, max_tokens=200) as events:
        async for event in events:
            if event.type == "content.delta":
                break
    assert (await client.chat.completions.create(model="auto", messages=HELLO)).choices


@in_module
async def test_a_completion(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(model="auto", prompt="Once upon a time", max_tokens=8)
    assert answer.choices[0].text.startswith("[simulated answer: tier small")


@in_module
async def test_the_list_of_models(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names == ["auto", "small", "large", "model/small", "model/large"]
    for name in names:
        assert (await client.models.retrieve(name)).id == name


@in_module
async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.code == "model_not_found"
    assert "Available: auto, small, large" in raised.value.message
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4o")


@in_module
async def test_what_an_engine_refuses_is_a_bad_request(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model="auto", messages=[])
    assert "Messages cannot be empty." in raised.value.message


@in_module
async def test_what_the_router_refuses_is_a_bad_request(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model=None, messages=HELLO)  # type: ignore[call-overload]
    assert raised.value.code == "missing_model"


@in_module
@pytest.mark.parametrize("mebibytes", [1.1, 3])
async def test_a_body_beyond_the_limit(client: AsyncOpenAI, mebibytes: float) -> None:
    text = "x" * int(mebibytes * MIB)
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": text}])
    assert raised.value.status_code == 413
    assert raised.value.body == {
        "message": f"The request body is larger than {MIB} bytes.",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_too_large",
    }


async def test_tools_are_called_and_their_results_sent_back(routed: Routed) -> None:
    engine = Engine("s0", in_turn(calls("get_weather", {"city": "Oslo"}), says("It rains in Oslo.")))
    client = await routed(engine)
    first = await client.chat.completions.create(model="auto", messages=HELLO, tools=[WEATHER])
    message = first.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})
    result: ChatCompletionMessageParam = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    talk: list[Any] = [*HELLO, message, result]
    second = await client.chat.completions.create(model="auto", messages=talk, tools=[WEATHER])
    assert second.choices[0].message.content == "It rains in Oslo."
    sent = engine.requests[1]["messages"]
    assert isinstance(sent, list)
    assert [one["role"] for one in sent] == ["user", "assistant", "tool"]


async def test_a_call_of_a_tool_that_was_not_offered_is_asked_for_again(routed: Routed) -> None:
    engine = Engine("s0", in_turn(calls("get_whether", {}), calls("get_weather", {"city": "Oslo"})))
    client = await routed(engine, retries=Retries(changes=(RetryChange(temperature=0.0),)))
    answer = await client.chat.completions.create(model="auto", messages=HELLO, tools=[WEATHER], temperature=1.0)
    assert answer.choices[0].message.tool_calls is not None
    assert [request["temperature"] for request in engine.requests] == [1.0, 0.0]


async def test_json_mode_gives_json_even_if_the_engine_does_not_at_first(routed: Routed) -> None:
    engine = Engine("s0", in_turn(says("Sure! Here it is: {"), says('{"city": "Oslo"}')))
    client = await routed(engine)
    answer = await client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, response_format={"type": "json_object"}
    )
    assert json.loads(str(answer.parse().choices[0].message.content)) == {"city": "Oslo"}
    assert answer.headers["x-llm-attempts"] == "2"


async def test_structured_output_is_parsed(routed: Routed) -> None:
    engine = Engine("s0", says('{"country": "Norway", "city": "Oslo"}'))
    client = await routed(engine)
    answer = await client.chat.completions.parse(model="auto", messages=HELLO, response_format=Capital)
    assert answer.choices[0].message.parsed == Capital(country="Norway", city="Oslo")
    assert engine.requests[0]["response_format"]["json_schema"]["name"] == "Capital"  # type: ignore[index]


async def test_a_full_queue_is_a_rate_limit(routed: Routed) -> None:
    engine = Engine("s0", queue_full)
    client = await routed(engine)
    with pytest.raises(openai.RateLimitError) as raised:
        await client.chat.completions.create(model="auto", messages=HELLO)
    assert raised.value.code == "overloaded"
    assert raised.value.response.headers["retry-after"] == "1"
    assert len(engine.requests) == 1


async def test_the_client_comes_back_after_a_rate_limit(routed: Routed) -> None:
    """It waits for as long as retry-after says, which is a second."""
    engine = Engine("s0", in_turn(queue_full, ok))
    client = await routed(engine, max_retries=1)
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content == "s0"
    assert len(engine.requests) == 2


async def test_the_client_does_not_notice_an_engine_that_dies(routed: Routed) -> None:
    client = await routed(Engine("s0", crash), Engine("s1"))
    for text in ("a", "b", "c", "d", "e", "f"):
        answer = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": text}])
        assert answer.choices[0].message.content == "s1"


async def test_a_failure_of_all_engines_is_a_server_error(routed: Routed) -> None:
    engine = Engine("s0", error)
    client = await routed(engine, retries=Retries(limit=1))
    with pytest.raises(openai.InternalServerError) as raised:
        await client.chat.completions.create(model="auto", messages=HELLO)
    assert raised.value.status_code == 503
    assert len(engine.requests) == 2


@pytest.mark.parametrize("max_retries", [0, 1])
async def test_the_clients_timeout(routed: Routed, max_retries: int) -> None:
    """The router sends nothing again for a client that has left; the client may do so itself."""
    engine = Engine("s0", slow)
    client = await routed(engine, max_retries=max_retries)
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model="auto", messages=HELLO, timeout=0.3)
    assert len(engine.requests) == 1 + max_retries
    engine.release.set()
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content == "s0"
