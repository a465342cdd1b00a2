"""The module does not unpack answers: a compressed one goes to the client as it is, whatever its bytes would say."""

from __future__ import annotations

import gzip
import json

import pytest
from aiohttp import web

from tests.router.engine import Engine
from tests.router.replies import routed

EMPTY = json.dumps({"choices": [{"message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}).encode()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(EMPTY)), ("x-packed", EMPTY), (None, EMPTY)],
    ids=["compressed", "of unknown encoding", "as it is"],
)
async def test_a_compressed_answer_is_not_judged(encoding: str | None, body: bytes) -> None:
    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        headers = {"content-encoding": encoding} if encoding else {}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async with routed(answer) as router:
        got = await router.post()
        assert got.status == 200
        assert got.headers.get("x-llm-quality") == (None if encoding else "empty")
        assert (got.headers["x-llm-attempts"] == "1") == (encoding is not None)
        assert got.headers.get("content-encoding") == encoding
        assert json.loads(await got.read())["choices"][0]["message"]["content"] == ""
