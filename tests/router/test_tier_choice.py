"""Which tier a request goes to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.router.envoy import chat
from tests.router.two_tiers import TwoTiers

CODE = "```python\ndef f(x):\n    return x\n```"
MATHS = "∑ 1/n² ≤ π²/6"
LONG = "An old story about rivers and the towns beside them. " * 200


def asking(*parts: object) -> dict[str, object]:
    """A chat request of one message that consists of parts."""
    return {"model": "auto", "messages": [{"role": "user", "content": list(parts)}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router() -> AsyncIterator[TwoTiers]:
    async with TwoTiers() as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(chat(model="small"), "small", id="tier name"),
        pytest.param(chat(model="large"), "large", id="other tier name"),
        pytest.param(chat(model="model/small"), "small", id="model id"),
        pytest.param(chat(model="model/large"), "large", id="other model id"),
        pytest.param(chat(f"{CODE} {MATHS} {LONG}", model="small"), "small", id="a name beats the score"),
        pytest.param(chat("hello"), "small", id="short"),
        pytest.param(chat("你好，今天天气怎么样？"), "small", id="short, Chinese"),
        pytest.param(chat(LONG), "small", id="long only"),
        pytest.param(chat(CODE), "small", id="code only"),
        pytest.param(chat(MATHS), "small", id="maths only"),
        pytest.param(chat(f"{CODE}\n{MATHS}"), "large", id="code and maths"),
        pytest.param(chat(f"{CODE} {LONG}"), "large", id="long with code"),
        pytest.param(chat(f"请证明：{MATHS}\n{CODE}"), "large", id="code and maths, Chinese"),
        pytest.param({"model": "auto", "prompt": "Once upon a time"}, "small", id="completion"),
        pytest.param({"model": "auto", "prompt": f"{CODE}{MATHS}"}, "large", id="complex completion"),
        pytest.param({"model": "auto", "messages": []}, "small", id="no messages"),
        pytest.param({"model": "auto", "messages": [None, 7, {"content": None}]}, "small", id="odd messages"),
        pytest.param({"model": "auto", "messages": [[[chat()]], {"role": {}}]}, "small", id="nested messages"),
        pytest.param({"model": "auto", "messages": "hello"}, "small", id="messages that are no list"),
        pytest.param(chat(f"{CODE}{MATHS}", tools="none", response_format=[1]), "large", id="odd fields"),
        pytest.param({"model": "auto", "input": "hello"}, "small", id="response"),
        pytest.param(
            {"model": "auto", "instructions": "Go.", "input": f"{CODE}{MATHS}"}, "large", id="complex response"
        ),
        pytest.param(asking({"type": "text", "text": f"{CODE}{MATHS}"}), "large", id="content parts"),
        pytest.param(asking({"type": "image_url", "image_url": {}}), "small", id="an image alone"),
        pytest.param(asking({"type": "input_audio", "input_audio": {"data": "UklGRg=="}}), "small", id="a recording"),
        pytest.param(
            asking({"type": "file", "file": {"file_id": "f"}}, {"type": "text", "text": f"{CODE}{MATHS}"}),
            "large",
            id="a file with text",
        ),
        pytest.param(asking([{"type": "text", "text": f"{CODE}{MATHS}"}]), "large", id="nested parts"),
        pytest.param(chat("hello", max_tokens="many", tools=[{"f": [1, 2.5e3, None, True]}]), "small", id="extras"),
    ],
)
async def test_the_tier_follows_from_model_and_text(router: TwoTiers, body: object, expected: str) -> None:
    assert await router.tier_of(body) == expected


async def test_names_may_be_escaped_as_json_allows(router: TwoTiers) -> None:
    for body in (b'{"model":"model\\/large"}', b'{"mod\\u0065l": "l\\u0061rge"}', b' \n{ "model" :\t"large" } '):
        answer = await router.client.post("/v1/completions", data=body)
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")


async def test_signs_count_however_the_client_writes_characters(router: TwoTiers) -> None:
    for ascii_only in (True, False):
        body = json.dumps(chat(f"{CODE}\n{MATHS}"), ensure_ascii=ascii_only).encode()
        answer = await router.client.post("/v1/chat/completions", data=body)
        assert answer.headers["x-llm-tier"] == "large"


async def test_the_last_of_two_equal_keys_counts_as_it_does_at_the_engine(router: TwoTiers) -> None:
    answer = await router.client.post("/v1/completions", data=b'{"model":"small","model":"large"}')
    assert answer.headers["x-llm-tier"] == "large"


async def test_the_score_is_told_and_grows_with_what_is_asked(router: TwoTiers) -> None:
    scores = []
    for text in ("hello", LONG, f"{CODE}{MATHS}", f"{CODE}{MATHS}{LONG}"):
        answer = await router.client.post("/v1/chat/completions", json=chat(text))
        scores.append(float(answer.headers["x-llm-score"]))
    assert scores == sorted(scores)
    assert 0 <= scores[0] < 0.1
    assert 0.7 < scores[-1] <= 1


async def test_the_body_reaches_the_engine_as_it_was(router: TwoTiers) -> None:
    body = chat("text " * 100_000, temperature=0.123456789012345678, seed=12345678901234567890, stop=["\u2028", "é"])
    await router.tier_of(body | {"model": "small"})
    assert router.small.requests[-1] == body | {"model": "small"}
