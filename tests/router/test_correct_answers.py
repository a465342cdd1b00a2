"""An answer is of low quality only if the model did wrong; all others are passed on, once, and count as successes.

Each row is an answer that a client has asked for, or that its own limits explain.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from tests.router.engine import stream
from tests.router.envoy import chat
from tests.router.replies import whole
from tests.router.test_metrics import figures
from tests.router.two_tiers import TwoTiers

_CHAT, _COMPLETIONS, _RESPONSES = (f"/v1/{path}" for path in ("chat/completions", "completions", "responses"))
_FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
_TOOLS: dict[str, Any] = {"tools": [_FUNCTION]}
_CUSTOM: dict[str, Any] = {"tools": [{"type": "custom", "custom": {"name": "run_sql"}}]}
_JSON: dict[str, Any] = {"response_format": {"type": "json_object"}}
_SCHEMA: dict[str, Any] = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}
_EOS = 151645
"""The token by which the model itself ends an answer."""


class Row(NamedTuple):
    """What is asked beside the usual, and the choices of the answer, or all of it."""

    asked: dict[str, Any]
    answer: list[Any] | dict[str, Any]
    path: str = _CHAT


def said(content: object, finish: str | None = "stop", matched: object = _EOS, **message: object) -> list[Any]:
    """One choice with a message."""
    text = {"role": "assistant", "content": content, "reasoning_content": None, "tool_calls": None, **message}
    return [{"index": 0, "message": text, "logprobs": None, "finish_reason": finish, "matched_stop": matched}]


def called(function: object, finish: str = "tool_calls", content: object = None) -> list[Any]:
    """One choice with a call of a function."""
    return said(
        content, finish, None, tool_calls=[{"id": "call_1", "index": 0, "type": "function", "function": function}]
    )


def written(text: str, finish: str = "stop", matched: object = _EOS, **choice: object) -> list[Any]:
    """One choice of a completion."""
    return [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "matched_stop": matched, **choice}]


def item(kind: str, **fields: object) -> dict[str, Any]:
    """A response of one item."""
    return {"object": "response", "status": "completed", "output": [{"type": kind, **fields}], "error": None}


ROWS: dict[str, Row] = {
    "cut before a visible character": Row({"max_tokens": 1}, said("\n", "length", None)),
    "cut while it reasoned": Row({"max_tokens": 64}, said(None, "length", None, reasoning_content="First")),
    "cut with nothing to show": Row({"max_completion_tokens": 3}, said("", "length", None)),
    "as many tokens as it may have, all blank": Row({"max_tokens": 1}, said(" ", "stop")),
    "as many tokens as it may have, no JSON yet": Row(
        _JSON | {"max_tokens": 4},
        {"choices": said('{"a": ', "stop"), "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}},
    ),
    "limited, and no word of how it ended": Row({"max_tokens": 1}, said(" ", None, None)),
    "filtered": Row({}, said("", "content_filter", None)),
    "filtered, where JSON is asked for": Row(_JSON, said("I cannot", "content_filter", None)),
    "aborted": Row({}, said("", "abort", None)),
    "only reasoned": Row({}, said("", reasoning_content="The user says hello.")),
    "only reasoned, by another name": Row({}, said(None, reasoning="The user says hello.")),
    "a text of the client's came at once": Row({"stop": ["\n"]}, said("", matched="\n")),
    "a text of the client's came, unsaid which": Row({"stop": "END"}, said("", matched=None)),
    "a token of the client's came at once": Row({"stop_token_ids": [13]}, said("", matched=13)),
    "a pattern of the client's came at once": Row({"stop_regex": "[0-9]"}, said("", matched="7")),
    "no more than blanks for the least tokens": Row({"min_tokens": 4}, said("    ")),
    "one blank choice of two": Row({"n": 2}, [*said("yes"), *said("")]),
    "three blank choices of four": Row({"n": 4}, [*said(""), *said(" "), *said("\n"), *said("yes")]),
    "one choice of two is no JSON": Row(_JSON | {"n": 2}, [*said("oh"), *said("{}")]),
    "JSON, cut": Row(_JSON | {"max_tokens": 4}, said('{"a": [1, ', "length", None)),
    "JSON of a schema, cut": Row(_SCHEMA | {"max_tokens": 4}, said('{"a": "text', "length", None)),
    "JSON, cut by a text of the client's": Row(_JSON | {"stop": ["}"]}, said('{"a": 1', matched="}")),
    "JSON in a fence": Row(_JSON, said('```json\n{"a": 1}\n```')),
    "JSON of a schema in a fence": Row(_SCHEMA, said("\n```\n[1, 2]\n```\n")),
    "JSON after its reasoning": Row(_JSON | {"separate_reasoning": False}, said('<think>{</think>\n{"a": 1}')),
    "the rest of a JSON": Row(_JSON | {"continue_final_message": True}, said('"b": 2}')),
    "nothing to continue": Row({"continue_final_message": True}, said("")),
    "JSON nested deeply": Row(_JSON, said('{"a":' * 200 + "1" + "}" * 200)),
    "a call in place of JSON": Row(_JSON | _TOOLS, called({"name": "look_up", "arguments": "{}"})),
    "a call without arguments": Row(_TOOLS, called({"name": "look_up"})),
    "a call with arguments of null": Row(_TOOLS, called({"name": "look_up", "arguments": None})),
    "a call with empty arguments": Row(_TOOLS, called({"name": "look_up", "arguments": ""})),
    "a call with no fields": Row(_TOOLS, called({"name": "look_up", "arguments": "{}"}, content="")),
    "a call with arguments as an object": Row(_TOOLS, called({"name": "look_up", "arguments": {"a": 1}})),
    "a call that was cut": Row(_TOOLS | {"max_tokens": 9}, called({"name": "look_up", "arguments": '{"a'}, "length")),
    "a call that was demanded, cut": Row(_TOOLS | {"tool_choice": "required"}, said('[{"na', "length", None)),
    "a call that was demanded": Row(_TOOLS | {"tool_choice": "required"}, called({"name": "look_up"}, "stop")),
    "a demand of nothing": Row({"tools": [], "tool_choice": "required"}, said("There is no tool.")),
    "a choice among tools": Row(
        _TOOLS | {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_FUNCTION]}}},
        said("No tool is needed."),
    ),
    "a call of a custom tool": Row(
        _CUSTOM,
        said(None, "tool_calls", tool_calls=[{"type": "custom", "custom": {"name": "run_sql", "input": "TABLE t"}}]),
    ),
    "a custom tool, called as a function": Row(_CUSTOM, called({"name": "run_sql", "arguments": "SELECT 1"})),
    "a call of a tool declared in a message": Row(
        {"messages": [{"role": "system", "content": "", "tools": [_FUNCTION]}, {"role": "user", "content": "hello"}]},
        called({"name": "look_up", "arguments": '{"city": "Bern"}'}),
    ),
    "a call of a tool of the engine's": Row({"tools": [{"type": "web_search"}]}, called({"name": "search"})),
    "a call of the older API": Row(
        {"functions": [{"name": "look_up"}]},
        said(None, "function_call", None, function_call={"name": "look_up", "arguments": ""}),
    ),
    "a refusal": Row({}, said(None, refusal="I will not.")),
    "a refusal to call": Row(_TOOLS | {"tool_choice": "required"}, said(None, refusal="I will not.")),
    "only audio": Row({"modalities": ["audio"]}, said(None, audio={"id": "audio_1", "data": "AAAA"})),
    "only images": Row({}, said("", images=[{"image_url": {"url": "data:"}}])),
    "only probabilities": Row(
        {"logprobs": True}, [{**said("")[0], "logprobs": {"content": [{"token": "", "logprob": -0.1}]}}]
    ),
    "a completion that was cut": Row({"max_tokens": 1}, written("", "length", None), _COMPLETIONS),
    "a completion of a blank": Row({}, written("\n"), _COMPLETIONS),
    "a completion stopped at once": Row({"stop": ["\n\n"]}, written("", matched="\n\n"), _COMPLETIONS),
    "a completion between two texts": Row({"suffix": "}"}, written(""), _COMPLETIONS),
    "a completion of one of two prompts": Row({"prompt": ["a", "b"]}, [*written(""), *written("c")], _COMPLETIONS),
    "a completion that only echoes": Row(
        {"echo": True, "max_tokens": 1, "logprobs": 1}, written("hello", "length", None), _COMPLETIONS
    ),
    "only probabilities of a completion": Row(
        {"logprobs": 1}, written("", logprobs={"tokens": ["hello"], "token_logprobs": [None]}), _COMPLETIONS
    ),
    "a response that was cut": Row(
        {"max_output_tokens": 16},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
        _RESPONSES,
    ),
    "a response of reasoning": Row({}, item("reasoning", summary=[], content=[]), _RESPONSES),
    "a response of a call": Row(
        {"tools": [{"type": "function", "name": "look_up"}]},
        item("function_call", name="look_up", call_id="1", arguments=""),
        _RESPONSES,
    ),
}


@pytest.fixture
async def router() -> AsyncIterator[TwoTiers]:
    """Its large tier would give a good answer."""
    async with TwoTiers(agent=True) as running:
        yield running


async def test_correct_answers_are_passed_on_at_once_and_count_as_successes(router: TwoTiers) -> None:
    wrong = []
    for name, row in ROWS.items():
        body = _body(row)
        router.small.answer = whole(body)
        router.small.requests.clear()
        answer = await router.client.post(row.path, json=_asked(row))
        seen = (answer.status, await answer.json(), answer.headers.get("x-llm-quality"), len(router.small.requests))
        if seen != (200, body, None, 1):
            wrong.append((name, len(router.small.requests), answer.headers.get("x-llm-quality")))
    assert not wrong
    assert not router.large.requests
    counted = await figures(router.agent)
    place = {"wanted_tier": "small", "heterollm_tier": "small", "low_quality": "false"}
    assert counted.of("requests_total", **place, code="200", attempts="1") == len(ROWS)
    assert counted.of("requests_total") == len(ROWS)
    assert counted.of("bad_answers_total") == counted.of("failed_attempts_total") == 0


def _asked(row: Row) -> dict[str, Any]:
    usual: dict[str, dict[str, Any]] = {_COMPLETIONS: {"prompt": "hello"}, _RESPONSES: {"input": "hello"}}
    return {**usual.get(row.path, chat()), "model": "small", **row.asked}


def _body(row: Row) -> dict[str, Any]:
    if isinstance(row.answer, dict):
        return row.answer
    usage = {"prompt_tokens": 9, "total_tokens": 10, "completion_tokens": 1}
    return {"id": "1", "object": "chat.completion", "model": "m", "choices": row.answer, "usage": usage}


@pytest.mark.parametrize("finish", ["length", "content_filter", "stop"])
async def test_streams_are_never_judged(router: TwoTiers, finish: str) -> None:
    end = {"index": 0, "delta": {"content": ""}, "finish_reason": finish}
    for event in (json.dumps({"choices": [end]}), "[DONE]", None):
        router.small.events.put_nowait(event)
    router.small.answer = stream
    answer = await router.client.post(_CHAT, json=chat(model="small", stream=True, max_tokens=1))
    assert (await answer.read()).endswith(b"[DONE]\n\n")
    assert (len(router.small.requests), len(router.large.requests)) == (1, 0)
    counted = await figures(router.agent)
    assert counted.of("requests_total", heterollm_tier="small", code="200", low_quality="false") == 1
    assert counted.of("bad_answers_total") == counted.of("failed_attempts_total") == 0
