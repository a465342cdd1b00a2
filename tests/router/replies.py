"""Whole answers of engines, in SGLang's form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web

from heterollm_controllers.routing.ir import Retries, RetryChange
from tests.router.engine import Answer, Engine
from tests.router.envoy import Envoy, chat, policy, tier

__all__ = ["CHANGES", "Router", "calls", "chose", "in_turn", "routed", "says", "whole"]

CHANGES = (
    RetryChange(temperature=0.2),
    RetryChange(temperature=0.0, max_tokens_factor=0.5),
    RetryChange(temperature=0.0, max_tokens_factor=0.25, new_seed=True),
)


def says(
    content: object, finish: str | None = "stop", *, choice: Mapping[str, object] | None = None, **message: object
) -> Answer:
    """Answers with this message; `choice` has further fields beside it."""
    more = {"finish_reason": finish, **(choice or {})}
    return chose({"index": 0, "message": {"role": "assistant", "content": content, **message}, **more})


def calls(name: str, arguments: object, finish: str = "tool_calls") -> Answer:
    """Answers with a call of a tool."""
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return says(None, finish, tool_calls=[call])


def chose(*choices: object) -> Answer:
    """Answers with these choices."""
    return whole({"object": "chat.completion", "choices": choices})


def whole(body: Mapping[str, object]) -> Answer:
    """Answers with this body."""

    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other, the last for ever."""
    left = list(answers)

    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(engine, request)

    return answer


class Router(NamedTuple):
    """A running router with one engine in the only tier, so that every attempt arrives there."""

    client: aiohttp.ClientSession
    engine: Engine
    envoy: Envoy

    async def post(self, request: Mapping[str, object] | None = None, **headers: str) -> aiohttp.ClientResponse:
        """Send a chat request."""
        return await self.client.post("/v1/chat/completions", json=chat() | dict(request or {}), headers=headers)


@asynccontextmanager
async def routed(answer: Answer, retries: Retries | None = None) -> AsyncIterator[Router]:
    """A router whose engine answers like this."""
    retries = retries or Retries(changes=CHANGES)
    async with (
        Engine("s0", answer) as engine,
        Envoy(policy(tier("small", engine), retries=retries)) as envoy,
        envoy.session() as client,
    ):
        yield Router(client, engine, envoy)
