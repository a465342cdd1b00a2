"""The router's score and its twin in Python agree on whatever clients send."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heterollm_controllers.api.features import FEATURES
from heterollm_controllers.scoring.score import SAMPLE, score
from tests.router.envoy import Envoy, policy, tier

pytestmark = pytest.mark.asyncio(loop_scope="module")

PYTHON = "Fix this:\n```python\ndef f(x):\n    return {k: v for k, v in x.items() if v != 0}\n```\n"
C = '#include <stdio.h>\nint main(void) { for (;;) puts("a\\tb"); return 0 == 1 && 2; }'
SQL = "SELECT a.name, count(*) FROM a JOIN b ON a.id = b.id WHERE x <> 'é' GROUP BY 1;"
LATEX = r"Show that $$\sum_{n=1}^\infty \frac{1}{n^2} = \frac{\pi^2}{6}$$ and \usepackage{amsmath}"
PAGE = '<html><body onload="f();">a && b || c</body></html>'
CHINESE = "请证明：对于任意正整数，下列命题成立。分析其步骤并比较两种方法的优劣？"
DEMANDS = "Write a poem.\n- four lines\n- about rain\n1. no rhyme\n2) never the word rain\n* end on a question mark?"
EMOJI = "Guess: 🎈🎉👩‍👩‍👧‍👦 means what? 🤔？"
CONTROL = 'tab\there, "quotes", back\\slash, \\\\u0041, \x01\x1f\x7f, line\r\nend / slash </script>'
HALVES = "a lone \ud83d half and \ude00 another, 𝒳 whole, \ud83d\\ude00 not one"
TEXTS = ("", "hi", PYTHON, C, SQL, LATEX, PAGE, CHINESE, DEMANDS, EMOJI, CONTROL, HALVES)
LONG = (
    "x" * 5000,
    "证明" * 3000,
    "\n" * 9000,
    "\\" * 9001,
    "🎈" * 3000,
    "\x01" * 3000,
    "a\\n" * 3000,
    "\\" * 30_000 + "u003f",
    "a" + "\\" * 30_000 + "u003f",
    *(t * 200 for t in TEXTS),
)
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def said(*contents: object, role: str = "user") -> dict[str, Any]:
    """A chat request in which somebody says all this, one message each."""
    return {"model": "auto", "messages": [{"role": role, "content": content} for content in contents]}


def part(text: object) -> dict[str, Any]:
    """A message's part of text."""
    return {"type": "text", "text": text}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
ODD: tuple[object, ...] = (
    None,
    True,
    7,
    "text",
    [],
    {},
    [[]],
    [{}],
    [None],
    {"type": 7, "text": []},
    -1e300,
    1e999,
    10**400,
)

REQUESTS: tuple[dict[str, Any], ...] = (
    *(said(text) for text in (*TEXTS, *LONG)),
    *(said(text, role="system") for text in TEXTS),
    *(said("be terse", text, "thanks") for text in TEXTS),
    *(said([part(text), IMAGE, part("and?")]) for text in TEXTS),
    *({"prompt": [text, "", text]} for text in TEXTS),
    *({"instructions": "be terse", "input": text} for text in TEXTS),
    *({"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]} for text in TEXTS),
    # The last message is no usual one, so all are read a second time.
    *({"messages": [{"role": "user", "content": text}, {"role": "user"}]} for text in TEXTS),
    *(said(odd) for odd in ODD),
    *({"messages": odd} for odd in ODD),
    *({"messages": [odd, {"role": odd, "content": "prove it"}]} for odd in ODD),
    *({"input": odd, "prompt": odd, "instructions": odd} for odd in ODD),
    *({name: odd} for odd in ODD for name in ("tools", "max_tokens", "response_format", "reasoning_effort", "text")),
    *(said("x", *["hi"] * turns) for turns in (5, 30)),
    *(said("hi") | {"tools": TOOLS * count} for count in (1, 7, 40)),
    *(said("hi") | {"max_tokens": tokens} for tokens in (1, 500.5, 8192, 100_000, -5)),
    said("hi") | {"max_tokens": 1, "max_completion_tokens": 4000},
    *(said("hi") | {"response_format": {"type": kind}} for kind in ("text", "json_object", "json_schema", "?", "")),
    {"input": "hi", "text": {"format": {"type": "json_schema"}}, "reasoning": {"effort": "high"}},
    *(said("hi") | {"reasoning_effort": effort} for effort in ("none", "low", "medium", "high", "max", 0.3, "?")),
    said("hi") | {"regex": "[0-9]+"},
    said([IMAGE, {"type": "input_audio"}, {"type": "file"}, {"type": "video_url"}, {"type": "refusal"}]),
)


WEIGHTS = {feature.name: 0.02 * 1.19**number for number, feature in enumerate(FEATURES)}
"""Different for each feature, and together below 1: any feature that differs shows in the score."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A router without engines: the score is said all the same."""
    weighed = policy(tier("small"), tier("large"), scorer_weights=tuple(WEIGHTS.items()))
    async with Envoy(weighed) as envoy, envoy.session() as session:
        yield session


async def scored(client: aiohttp.ClientSession, text: bytes) -> str:
    """The router's score of a request."""
    async with client.post("/v1/chat/completions", data=text) as answer:
        assert answer.status == 503, await answer.text()
        return answer.headers["x-llm-score"]


def plainly(body: object) -> str:
    """JSON as most clients write it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def in_ascii(body: object) -> str:
    """JSON as Python's json and some others write it."""
    return json.dumps(body, indent=1).replace("/", "\\/")


def escaped(body: object) -> str:
    """JSON with every character escaped."""

    def escape(literal: re.Match[str]) -> str:
        units = json.loads(literal.group()).encode("utf-16-be", "surrogatepass")
        return '"' + "".join(f"\\u{high:02x}{low:02X}" for high, low in batched(units)) + '"'

    return re.sub(r'"(?:[^"\\]|\\.)*"', escape, json.dumps(body))


def batched(units: bytes) -> list[tuple[int, int]]:
    """Pairs of bytes."""
    return list(zip(units[::2], units[1::2], strict=True))


async def agrees(client: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    """The score is the same however the request is written."""
    whole = {"model": "auto", **body}
    expected = f"{score(whole, WEIGHTS):.3f}"
    for spell in (plainly, in_ascii, escaped):
        # Half characters have no other spelling in UTF-8; numbers without bounds Python writes in a way of its own.
        text = spell(whole).replace("Infinity", "1e999").encode("utf-8", "backslashreplace")
        assert await scored(client, text) == expected, (spell, body)


@pytest.mark.parametrize("body", REQUESTS, ids=lambda body: json.dumps(body)[:40])
async def test_usual_and_odd_requests_score_the_same(client: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    await agrees(client, body)


texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(codec=None), max_size=200),
    st.lists(
        st.sampled_from((*'\\\\"/n u0? \n\t-*12é中🎈\ud83d\ude00', *(sign for f in FEATURES for sign in f.signs))),
        max_size=60,
    )
    .map("".join)
    .flatmap(lambda text: st.integers(1, 3 * SAMPLE // (len(text) + 1)).map(lambda times: text * times)),
)
parts = st.one_of(texts, st.sampled_from(ODD), st.builds(part, texts), st.just(IMAGE))
contents = st.one_of(texts, st.lists(parts, max_size=4))
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(("user", "assistant", "system", "tool"))}, optional={"content": contents}
    ),
    max_size=6,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "messages": messages,
        "input": st.one_of(texts, messages),
        "prompt": st.one_of(texts, st.lists(texts, max_size=3)),
        "instructions": texts,
        "tools": st.lists(st.sampled_from(TOOLS), max_size=12),
        "max_tokens": st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False)),
        "response_format": st.fixed_dictionaries({"type": st.sampled_from(("text", "json_object", "json_schema"))}),
        "reasoning_effort": st.one_of(st.sampled_from(("low", "medium", "high")), st.floats(0, 1)),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests)
async def test_any_request_scores_the_same(client: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    await agrees(client, body)


async def test_weights_of_the_policy_count_at_once_and_others_stay(client: aiohttp.ClientSession) -> None:
    body = said(PYTHON)
    async with Envoy(policy(tier("small"), tier("large"))) as envoy, envoy.session() as session:
        assert await scored(session, plainly(body).encode()) == f"{score(body):.3f}"
        listeners = await envoy.stats("listener_manager.listener_(create|modif).*")
        for weights in ({"code": 0.11}, {"code": 0.0, "lines": 1.0}, {}):
            await envoy.publish(policy(tier("small"), tier("large"), scorer_weights=tuple(weights.items())))
            assert await scored(session, plainly(body).encode()) == f"{score(body, weights):.3f}"
        assert await envoy.stats("listener_manager.listener_(create|modif).*") == listeners
