"""Nothing that clients send stops the router, costs it much, or makes it answer as if it were at fault itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web

from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.hostile import Hostile, hostile

MANY = int(os.environ.get("HOSTILE_REQUESTS", "2500"))
"""Requests sent; 100,000 take some minutes."""
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
AT_ONCE = 16
MIB = 1 << 20
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Indifferent(Engine):
    """An engine that answers whatever it is sent."""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response({"choices": [{"message": {"content": "yes"}}]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def envoy() -> AsyncIterator[Envoy]:
    async with (
        Indifferent("s0") as small,
        Indifferent("l0") as large,
        Envoy(policy(tier("small", small), tier("large", large))) as running,
    ):
        yield running


async def statuses(envoy: Envoy, text: bytes, *, ends: bool = False) -> list[int]:
    """What is answered on a connection on which only this is written; `ends`: without waiting for the answer."""
    at = urlsplit(envoy.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    answer = b""
    # A connection that is closed before all was read is reset, and the answer on it counts all the same.
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(30):
            writer.write(text)
            if ends:
                writer.write_eof()
            # Envoy closes only a second after it has refused something: the head says enough.
            while (ends or b"\r\n\r\n" not in answer) and (block := await reader.read(MIB)):
                answer += block
    writer.transport.abort()
    return [int(status) for status in STATUS.findall(answer)]


async def test_generated_requests_are_answered_by_what_is_wrong_with_them(envoy: Envoy) -> None:
    chance = random.Random(SEED)
    wrong: list[tuple[Hostile, list[int]]] = []

    async def send_some(count: int) -> None:
        for _ in range(count):
            request = hostile(chance)
            answered = await statuses(envoy, request.text, ends=request.statuses is None)
            if request.statuses is None:
                # What HTTP says of transfer encodings and versions that a server does not know.
                fits = all(status < 500 or status in (501, 505) for status in answered)
            else:
                fits = len(answered) == 1 and answered[0] in request.statuses
            if not fits:
                wrong.append((request, answered))

    await asyncio.gather(*(send_some(MANY // AT_ONCE) for _ in range(AT_ONCE)))
    assert not [(request.text[:2000], request.statuses, answered) for request, answered in wrong[:5]]
    # It is alive, and its module has found no fault in itself.
    async with envoy.session() as client:
        assert (await client.post("/v1/chat/completions", json=chat())).status == 200
    assert "a filter has failed" not in envoy.log()


def filled(pattern: str, start: str = "", end: str = "") -> bytes:
    """A body of almost 16 MiB."""
    room = 16 * MIB - 2000 - len(start) - len(end)
    return (start + pattern * (room // len(pattern.encode())) + end).encode()


DEEP = "[" * 100 + "]" * 100 + ","
LARGE = {
    "text": filled("hello wo", '{"model":"auto","prompt":"', '"}'),
    "escapes": filled("\\n", '{"model":"auto","prompt":"', '"}'),
    "escaped characters": filled("\\u4e2d", '{"model":"auto","prompt":"', '"}'),
    "backslashes": filled("\\\\", '{"model":"auto","prompt":"', '"}'),
    "an endless name": filled("\\u0061", '{"model":"', '"}'),
    "empty messages": filled("{},", '{"model":"auto","messages":[', "{}]}"),
    "messages": filled(
        '{"role":"user","content":[{"type":"text","text":"a"}]},', '{"model":"auto","messages":[', "{}]}"
    ),
    "parts": filled('"",', '{"model":"auto","messages":[{"role":"user","content":[', '""]}]}'),
    "tools": filled('{"type":"function"},', '{"model":"auto","tools":[', "{}]}"),
    "fields": filled('"modex":1,', "{", '"model":"auto"}'),
    "escaped fields": filled('"mode\\u006c":1,', "{", '"model":"auto"}'),
    "numbers": filled("1,", '{"model":"auto","prompt":[', "1]}"),
    "depths": filled(DEEP, '{"model":"auto","a":[', "1]}"),
    "depths of messages": filled(DEEP, '{"model":"auto","messages":[', "1]}"),
    "blanks": filled(" ", '{"model":"auto","a":', "1}"),
    "bounded by nothing": filled('{"a":'),
}


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name", LARGE)
async def test_a_large_body_costs_little_whatever_it_is(envoy: Envoy, name: str) -> None:
    """The bound is wide, for busy machines; without care, several of these take more than a second."""
    body = LARGE[name]
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    costs = []
    for _ in range(3):
        before = cpu_seconds(envoy.pid)
        (status,) = await statuses(envoy, head.encode() + body)
        assert status in (200, 400, 404)
        costs.append(cpu_seconds(envoy.pid) - before)
    print(f"{name}: {min(costs) * 1000:.0f} ms")
    assert min(costs) < 0.8
