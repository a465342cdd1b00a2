"""A conversation keeps its engine, and its side of a diverted tier, in all its turns; others spread evenly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from heterollm_controllers.routing.ir import Retries, RoutingPolicy
from tests.router.engine import Engine
from tests.router.envoy import Envoy, policy, tier

CONVERSATIONS, TURNS = 60, 5
ENGINES = 4
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
SYSTEM = "You are a careful assistant for an online shop. Quote orders by their number. "

pytestmark = pytest.mark.asyncio(loop_scope="module")

Body = dict[str, Any]
Turn = Callable[[int, int], Body]
"""What is sent in a turn of a conversation: by their numbers."""


class Answered(NamedTuple):
    """Who has answered."""

    tier: str
    engine: str


class Router:
    """A running router with two tiers of four engines each."""

    def __init__(self, envoy: Envoy, client: aiohttp.ClientSession, engines: Mapping[str, list[Engine]]) -> None:
        self.envoy, self.client, self.engines = envoy, client, engines

    async def divert(self, percent: int) -> None:
        """Let the large tier answer this share of the small one's conversations."""
        await self.envoy.publish(tiers(self.engines, percent))

    async def ask(self, path: str, body: Body | bytes, **headers: str) -> Answered:
        """Send one request for the small tier."""
        data = body if isinstance(body, bytes) else json.dumps({"model": "small"} | body).encode()
        named = {f"x-llm-{name}": value for name, value in headers.items()}
        async with self.client.post(path, data=data, headers=named) as answer:
            assert answer.status == 200, await answer.text()
            return Answered(answer.headers["x-llm-tier"], (await answer.json())["model"])


def tiers(engines: Mapping[str, list[Engine]], percent: int) -> RoutingPolicy:
    """The stub's answers are those of chats, for whatever is asked."""
    small = tier("small", *engines["small"], diverted_percent=percent)
    return policy(small, tier("large", *engines["large"]), retries=Retries(check_quality=False))


@asynccontextmanager
async def running() -> AsyncIterator[Router]:
    """Half of the small tier's conversations are diverted."""
    async with AsyncExitStack() as stack:
        engines = {
            name: [await stack.enter_async_context(Engine(f"c-{name}-{number}-0")) for number in range(ENGINES)]
            for name in ("small", "large")
        }
        envoy = await stack.enter_async_context(Envoy(tiers(engines, 50)))
        for name in engines:
            await envoy.healthy(name, ENGINES)
        yield Router(envoy, await stack.enter_async_context(envoy.session()), engines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router() -> AsyncIterator[Router]:
    async with running() as found:
        yield found


def chat(first: object, turn: int, system: object = None, **more: object) -> Body:
    """The messages up to this turn."""
    messages: list[Body] = [] if system is None else [{"role": "system", "content": system}]
    messages.append({"role": "user", "content": first})
    for number in range(turn):
        messages += [
            {"role": "assistant", "content": f"answer {number}"},
            {"role": "user", "content": f"question {number}"},
        ]
    return {"messages": messages, **more}


def tools_of(number: int) -> list[Body]:
    """Those of one of many applications, which differ in the last."""
    names = ["search", "order", f"refund_{number}"]
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    return [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names]


def with_tools(number: int, turn: int) -> Body:
    """A call and its result for each turn."""
    body = chat("Where is my order?", 0, SYSTEM, tools=tools_of(number))
    for one in range(turn):
        call = {"id": f"call{one}", "type": "function", "function": {"name": "search", "arguments": "{}"}}
        body["messages"] += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call{one}", "content": f"result {one}"},
        ]
    return body


def with_media(kind: str, content: Callable[[int], object]) -> Turn:
    """The same question about different things."""
    text = {"type": "text", "text": "What is this?"}
    return lambda number, turn: chat([text, {"type": kind, kind: content(number)}], turn, SYSTEM)


def respond(number: int, turn: int) -> Body:
    """First a text, then items, as clients without `previous_response_id` send them."""
    question = f"Order {number}?"
    if turn == 0:
        return {"instructions": SYSTEM * 10, "input": question}
    items: list[Body] = [{"role": "user", "content": [{"type": "input_text", "text": question}]}]
    for one in range(turn):
        said = [{"type": "output_text", "text": f"answer {one}", "annotations": []}]
        items += [
            {"type": "message", "id": f"m{one}", "role": "assistant", "status": "completed", "content": said},
            {"role": "user", "content": f"and {one}?"},
        ]
    return {"input": items, "instructions": SYSTEM * 10}


def in_template(number: int, turn: int) -> Body:
    """A prompt that the client has put into Qwen's chat template."""
    said = "".join(
        f"answer {one}<|im_end|>\n<|im_start|>user\nand {one}?<|im_end|>\n<|im_start|>assistant\n"
        for one in range(turn)
    )
    first = f"<|im_start|>system\n{SYSTEM * 10}<|im_end|>\n<|im_start|>user\nOrder {number}?<|im_end|>\n"
    return {"prompt": f"{first}<|im_start|>assistant\n{said}"}


DATA = "data:image/png;base64," + "iVBORw0KGgo" * 400
KINDS: dict[str, tuple[str, Turn]] = {
    "short": (CHAT, lambda number, turn: chat(f"hi {number}", turn)),
    "a system prompt": (CHAT, lambda number, turn: chat(f"hi {number}", turn, SYSTEM * 10)),
    "a system prompt of 20 KB": (CHAT, lambda number, turn: chat(f"hi {number}", turn, SYSTEM * 256)),
    "many system prompts": (CHAT, lambda number, turn: chat("hi", turn, SYSTEM * 10 + f"Shop {number}")),
    "long, and different at the end": (CHAT, lambda number, turn: chat(SYSTEM * 256 + str(number), turn)),
    "tools": (CHAT, with_tools),
    "images by address": (CHAT, with_media("image_url", lambda number: {"url": f"https://a.example/{number}.png"})),
    "images as data": (CHAT, with_media("image_url", lambda number: {"url": f"{DATA}{number}"})),
    "recordings": (CHAT, with_media("input_audio", lambda number: {"data": DATA + str(number), "format": "wav"})),
    "files": (CHAT, with_media("file", lambda number: {"file_id": f"file-{number}"})),
    "responses": (RESPONSES, respond),
    "prompts in a template": (COMPLETIONS, in_template),
    "a key of the prompt's cache": (
        COMPLETIONS,
        lambda number, turn: {"prompt": list(range(20 + turn)), "prompt_cache_key": f"key {number}"},
    ),
    "an object that names the conversation": (
        RESPONSES,
        lambda number, turn: {"input": f"question {turn}", "conversation": {"id": f"conv_{number}"}},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_later_turns_stay_with_the_engine_and_the_conversations_spread(router: Router, kind: str) -> None:
    path, turn_of = KINDS[kind]
    moved, engines = 0, Counter[Answered]()
    for number in range(CONVERSATIONS):
        by = [await router.ask(path, turn_of(number, turn)) for turn in range(TURNS)]
        moved += len(set(by)) > 1
        engines.update(by[:1])
    print(f"{kind}: {moved} of {CONVERSATIONS} moved; {sorted(engines.values(), reverse=True)}")
    assert moved == 0
    assert len(engines) == 2 * ENGINES
    # Sixty thrown on eight engines by chance.
    assert max(engines.values()) <= 2.5 * CONVERSATIONS / (2 * ENGINES)


@pytest.mark.parametrize(
    "prompt",
    [
        lambda number: f"prompt {number}",
        lambda number: SYSTEM * 256 + f"prompt {number}",
        lambda number: [SYSTEM, f"prompt {number}"],
        lambda number: [*range(1000, 1800), number],
        lambda number: [[*range(1000, 1800), number], [1, 2]],
    ],
    ids=["text", "long text", "texts", "tokens", "lists of tokens"],
)
async def test_a_prompt_is_all_of_it(router: Router, prompt: Callable[[int], object]) -> None:
    async def by(number: int, **more: object) -> Answered:
        return await router.ask(COMPLETIONS, {"prompt": prompt(number), **more})

    first = [await by(number) for number in range(CONVERSATIONS)]
    assert [await by(number, temperature=0.5, stream=False) for number in range(CONVERSATIONS)] == first
    assert len(set(first)) == 2 * ENGINES


async def test_only_what_is_said_at_the_beginning_counts(router: Router) -> None:
    """The same conversation as other clients, gateways and later turns write it."""
    for number in range(20):
        words = f"Où est ma commande \u2116 {number}?\n"
        system, question = {"role": "system", "content": SYSTEM}, {"role": "user", "content": words}
        tools = tools_of(number)
        body = {"model": "small", "tools": tools, "messages": [system, question]}
        by = await router.ask(CHAT, body)
        part = {"text": words, "type": "text", "cache_control": {"type": "ephemeral"}}
        later = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": [part]}]
        others = [
            {"messages": [question, system][::-1], "tools": tools, "model": "small"},
            body | {"model": "model/small", "temperature": 0.1, "stream": False, "user": "alice", "seed": 7},
            body | {"messages": [system, {"content": [part], "role": "user"}]},
            body | {"messages": [system, question, *later]},
        ]
        written = [
            *(json.dumps(other).encode() for other in others),
            json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            json.dumps(body, indent=2).encode(),
            json.dumps(body).replace("commande", "\\u0063ommande").replace("/", "\\/").encode(),
        ]
        assert [await router.ask(CHAT, text) for text in written] == [by] * len(written)


async def test_a_client_can_name_the_conversation(router: Router) -> None:
    owners = set()
    for number in range(CONVERSATIONS):
        named = {"conversation": f"thread-{number}"}
        by = {await router.ask(CHAT, chat(f"turn {turn}", 0), **named) for turn in range(TURNS)}
        by.add(await router.ask(CHAT, chat("x", 0, prompt_cache_key="another"), **named))
        assert len(by) == 1
        owners |= by
    assert len(owners) == 2 * ENGINES
    seen = {name for engines in router.engines.values() for engine in engines for name in engine.headers[-1]}
    assert not [name for name in seen if name.startswith("x-llm-")]


async def test_an_empty_name_is_none(router: Router) -> None:
    for number in range(20):
        body = chat(f"hi {number}", 0)
        assert await router.ask(CHAT, body, conversation="") == await router.ask(CHAT, body)


@pytest.mark.parametrize(
    ("system", "percents"),
    [(None, (10, 30)), (SYSTEM * 256, (50,))],
    ids=["no system prompt", "a system prompt of 20 KB"],
)
async def test_a_share_is_a_share_of_the_conversations_whatever_they_begin_with(
    router: Router, system: str | None, percents: tuple[int, ...]
) -> None:
    """To two points. They are 4,000, as of a thousand chance alone makes 1.6 points more or less."""
    many = 4000
    diverted = set[int]()
    for percent in percents:
        await router.divert(percent)
        by = [await router.ask(CHAT, chat(f"Conversation {number}", 0, system)) for number in range(many)]
        later = {
            number: await router.ask(CHAT, chat(f"Conversation {number}", 3, system)) for number in range(0, many, 40)
        }
        assert later == {number: by[number] for number in later}
        before = diverted
        diverted = {number for number, answered in enumerate(by) if answered.tier == "large"}
        assert diverted >= before, "a growing share only adds"
        share = 100 * len(diverted) / many
        loads = {name: busiest(answered for answered in by if answered.tier == name) for name in router.engines}
        print(f"{percent} % asked, {share:.1f} % of {many} diverted, busiest engine over mean {loads}")
        assert abs(share - percent) <= 2
        assert max(loads.values()) <= 1.25


def busiest(answers: Iterable[Answered]) -> float:
    """Conversations of the busiest of a tier's engines, over the mean."""
    counts = Counter(answers)
    return round(max(counts.values()) * ENGINES / counts.total(), 2)
