"""Reading requests: the three endpoints' bodies into what the engine needs, with SGLang's refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web

from .errors import ApiError
from .generation import Request
from .made_up_text import count_tokens

__all__ = ["ParsedRequest", "chat", "completion", "generate", "read_json"]

TOKENS_PER_MESSAGE = 4
"""What a chat template adds around each message."""

MAX_CHOICES = 128
"""Answers to one HTTP request; SGLang's own limit is the engine's memory."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """One HTTP request: what the engine must do, and how to answer."""

    model: str
    requests: tuple[Request, ...]
    stream: bool
    include_usage: bool = False
    batched: bool = False
    """Whether the answer is a list even for one prompt (/generate)."""


class _Prompt(NamedTuple):
    tokens: int
    text: str = ""


async def read_json(http: web.Request, strict_type: bool) -> Mapping[str, object]:
    """The body as a JSON object; the OpenAI endpoints insist on its content type."""
    if strict_type and http.content_type != "application/json":
        raise ApiError(400, "Unsupported Media Type: only 'application/json' is allowed.", "Bad Request")
    try:
        body = json.loads(await http.read())
    except ValueError as error:
        raise ApiError(400, f"The body is not JSON: {error}", "Bad Request") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.", "Bad Request")
    return body


def chat(body: Mapping[str, object]) -> ParsedRequest:
    """/v1/chat/completions."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise ApiError(400, "messages: field required, a list of messages", "Bad Request")
    if not messages:
        raise ApiError(400, "Messages cannot be empty.")
    texts = [_message_text(message) for message in messages]
    tokens = sum(TOKENS_PER_MESSAGE + count_tokens(text) for text in texts)
    limit = _limit(body, "max_completion_tokens", _limit(body, "max_tokens", None))
    return _parsed(body, [_Prompt(tokens, "\n".join(texts))], limit)


def completion(body: Mapping[str, object]) -> ParsedRequest:
    """/v1/completions; the prompt is a text, a list of token ids, or a list of either."""
    if body.get("prompt") is None:
        raise ApiError(400, "prompt: field required", "Bad Request")
    prompts, _ = _prompts(body["prompt"])
    # OpenAI's default for this endpoint.
    return _parsed(body, prompts, _limit(body, "max_tokens", 16))


def generate(body: Mapping[str, object]) -> ParsedRequest:
    """/generate, SGLang's own endpoint."""
    given = body.get("text", body.get("input_ids"))
    if given is None:
        raise ApiError(400, "Either text or input_ids should be provided.")
    sampling = body.get("sampling_params") or {}
    if not isinstance(sampling, dict):
        raise ApiError(400, "sampling_params must be an object")
    prompts, batched = _prompts(given)
    merged = {**sampling, "stream": body.get("stream"), "rid": body.get("rid")}
    parsed = _parsed(merged, prompts, _limit(sampling, "max_new_tokens", 128))
    return ParsedRequest(parsed.model, parsed.requests, parsed.stream, batched=batched)


def _parsed(body: Mapping[str, object], prompts: list[_Prompt], limit: int | None) -> ParsedRequest:
    copies = _limit(body, "n", 1) or 1
    stream = body.get("stream") is True
    if not prompts or len(prompts) * copies > MAX_CHOICES:
        raise ApiError(400, f"Between 1 and {MAX_CHOICES} prompts times n are accepted.")
    if stream and len(prompts) * copies > 1:
        raise ApiError(400, "The simulated engine streams one choice per request.")
    exact = body.get("ignore_eos") is True and limit is not None
    rid = body.get("rid")
    named = {"rid": rid} if isinstance(rid, str) else {}
    requests = [
        Request(prompt.tokens, limit, exact, prompt=prompt.text, **named) for prompt in prompts for _ in range(copies)
    ]
    options = body.get("stream_options")
    usage = isinstance(options, dict) and options.get("include_usage") is True
    return ParsedRequest(str(body.get("model") or "default"), tuple(requests), stream, include_usage=usage)


def _limit(body: Mapping[str, object], name: str, default: int | None) -> int | None:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ApiError(400, f"{name} must be at least 1, got {value!r}.")
    return value


def _message_text(message: object) -> str:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ApiError(400, "messages: every message is an object with a role", "Bad Request")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _prompts(value: object) -> tuple[list[_Prompt], bool]:
    """The prompts, and whether they came as a list of prompts."""
    if isinstance(value, str):
        return [_Prompt(max(1, count_tokens(value)), value)], False
    if isinstance(value, list):
        if value and all(isinstance(item, int) for item in value):
            return [_Prompt(len(value))], False
        return [prompt for item in value for prompt in _prompts(item)[0]], True
    raise ApiError(400, "A prompt is a text or a list of token ids.")
