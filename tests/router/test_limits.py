"""No client can hold more of a router than its share: body, time, connections, memory."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.router.agent import Agent
from tests.router.engine import Engine, error, slow, stream
from tests.router.envoy import BINARY, Envoy, chat, policy, tier
from tests.router.patience import eventually
from tests.router.test_metrics import figures

CHAT = "/v1/chat/completions"
MIB = 1 << 20
IMAGE = Path(__file__).parents[2] / "router-image"


async def open_raw(envoy: Envoy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection without a client library."""
    at = urlsplit(envoy.url)
    return await asyncio.open_connection(at.hostname, at.port)


def body_of(size: int) -> bytes:
    """A chat request of exactly this many bytes."""
    bare = json.dumps(chat("")).encode()
    return json.dumps(chat("x" * (size - len(bare)))).encode()


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """The same without its length being said beforehand."""
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


@pytest.mark.parametrize("limit", [MIB // 2, 3 * MIB, 20 * MIB])
async def test_a_body_may_be_as_large_as_the_policy_says(limit: int) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0"))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine), body_limit=limit)))
        client = await stack.enter_async_context(envoy.session())
        fits, over = body_of(limit), body_of(limit + 1)
        for body in (fits, in_pieces(fits)):
            assert (await client.post(CHAT, data=body)).status == 200
        for body in (over, in_pieces(over)):
            answer = await client.post(CHAT, data=body)
            assert answer.status == 413
            error = (await answer.json())["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")
            assert str(limit) in error["message"]
        assert len(engine.requests) == 2


async def test_the_largest_body_can_be_sent_again() -> None:
    async with AsyncExitStack() as stack:
        broken, large = (
            await stack.enter_async_context(Engine("s0", error)),
            await stack.enter_async_context(Engine("l0")),
        )
        tiers = policy(tier("small", broken), tier("large", large), body_limit=12 * MIB)
        envoy = await stack.enter_async_context(Envoy(tiers))
        client = await stack.enter_async_context(envoy.session())
        answer = await client.post(CHAT, data=body_of(12 * MIB))
        assert (answer.status, answer.headers["x-llm-attempts"]) == (200, "3")
        assert large.requests == broken.requests[:1]


async def test_a_changed_body_limit_ends_no_running_answer() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", stream))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine), body_limit=MIB)))
        client = await stack.enter_async_context(envoy.session())
        await engine.events.put("first")
        answer = await client.post(CHAT, json=chat(stream=True))
        await envoy.publish(policy(tier("small", engine), body_limit=1000))
        assert (await client.post(CHAT, data=body_of(1001))).status == 413
        for event in ("second", None):
            await engine.events.put(event)
        assert await answer.content.read() == b"data: first\n\ndata: second\n\n"


async def test_a_head_that_comes_in_too_slowly_is_given_up() -> None:
    async with AsyncExitStack() as stack:
        envoy = await stack.enter_async_context(
            Envoy(policy(tier("small")), manager={"request_headers_timeout": "0.2s"})
        )
        reader, writer = await open_raw(envoy)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n")
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_body_that_comes_in_too_slowly_is_given_up_before_an_engine_sees_it() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0"))
        envoy = await stack.enter_async_context(
            Envoy(policy(tier("small", engine)), manager={"request_timeout": "0.3s"})
        )
        reader, writer = await open_raw(envoy)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            error = json.loads(await reader.readuntil(b"}}"))["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "request_timeout")
        assert not engine.requests
        writer.close()


async def test_a_whole_request_in_time_is_not_bound_by_the_time_of_its_answer() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        short = {"request_timeout": "0.2s", "request_headers_timeout": "0.2s"}
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine)), manager=short))
        client = await stack.enter_async_context(envoy.session())
        held = asyncio.create_task(client.post(CHAT, json=chat()))
        await engine.waiting.wait()
        done, _ = await asyncio.wait([held], timeout=0.6)
        assert not done
        engine.release.set()
        assert (await held).status == 200


async def test_an_idle_connection_is_closed() -> None:
    async with AsyncExitStack() as stack:
        short = {"common_http_protocol_options": {"idle_timeout": "0.2s"}, "drain_timeout": "0.1s"}
        envoy = await stack.enter_async_context(Envoy(policy(tier("small")), manager=short))
        reader, writer = await open_raw(envoy)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def flood(engine: Engine, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
    """A streamed answer of 64 MiB, as fast as it is taken."""
    response = aiohttp.web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for _ in range(64):
        await response.write(b"x" * MIB)
        engine.checks += 1
    return response


async def test_a_client_that_does_not_read_holds_little_memory_and_is_given_up() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", flood))
        tiers = policy(tier("small", engine), attempt_idle_limit=1.0)
        envoy = await stack.enter_async_context(Envoy(tiers, manager={"stream_flush_timeout": "1s"}))
        before = (await envoy.stats("^server.memory_allocated$"))["server.memory_allocated"]
        body = json.dumps(chat(stream=True)).encode()
        _, writer = await open_raw(envoy)
        writer.write(b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))
        most = 0

        async def given_up() -> bool:
            nonlocal most
            counts = await envoy.stats("^server.memory_allocated$|^http.router.downstream_rq_active$")
            most = max(most, counts["server.memory_allocated"])
            return bool(engine.requests) and counts["http.router.downstream_rq_active"] == 0

        await eventually(given_up)
        assert most - before < 16 * MIB
        writer.close()


def few(bootstrap: dict[str, Any]) -> None:
    """Three connections at most."""
    (monitor,) = bootstrap["overload_manager"]["resource_monitors"]
    monitor["typed_config"]["max_active_downstream_connections"] = 3


async def test_connections_are_limited_and_one_that_ends_makes_room() -> None:
    async with Envoy(policy(tier("small")), bootstrap=few) as envoy:
        opened = [await open_raw(envoy) for _ in range(3)]

        async def served() -> bool:
            reader, writer = await open_raw(envoy)
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            try:
                return (await reader.read()).startswith(b"HTTP/1.1 200 ")
            except ConnectionError:
                return False
            finally:
                writer.close()

        async def full() -> bool:
            return not await served()

        await eventually(full)
        opened.pop()[1].close()
        await eventually(served)
        for _, writer in opened:
            writer.close()


def heap(size: int) -> dict[str, Any]:
    """What envoy.sh adds for this many bytes of heap."""
    found: dict[str, Any] = json.loads((IMAGE / "memory.json").read_text())
    (monitor,) = found["overload_manager"]["resource_monitors"]
    monitor["typed_config"]["max_heap_size_bytes"] = size
    return found


@pytest.mark.parametrize(("size", "status"), [(MIB, 503), (1024 * MIB, 200)])
async def test_a_router_short_of_memory_refuses_requests_instead_of_dying(size: int, status: int) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0"))
        # Connections are refused too, a little later: here at the same time, so that is left out.
        overlay = heap(size)
        overlay["overload_manager"]["actions"].pop()
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine)), overlay=overlay))
        client = await stack.enter_async_context(envoy.session())

        async def settled() -> bool:
            return (await client.post(CHAT, json=chat())).status == status

        await eventually(settled)
        answer = await client.post(CHAT, json=chat())
        if status == 503:
            assert answer.headers["retry-after"] == "1"
            error = (await answer.json())["error"]
            assert (error["type"], error["code"]) == ("server_error", "router_overloaded")
            agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
            seen = await figures(agent)
            # Such requests pass no filter, so that they are counted here only.
            assert seen.of("rejected_total", reason="router_overloaded", code="503") > 0
            assert seen.of("requests_total", code="503") == 0


async def test_the_start_script_leaves_a_fifth_of_the_memory_and_envoy_takes_what_it_says(tmp_path: Path) -> None:
    async with Envoy(policy(tier("small"))) as envoy:
        (envoy.directory / "memory.json").write_text((IMAGE / "memory.json").read_text())
        stub = tmp_path / "envoy"
        stub.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexec {BINARY} "$@" --mode validate\n')
        stub.chmod(0o755)
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MEMORY_LIMIT": str(500 * MIB)}
        env |= {"ETC": str(envoy.directory), "POLICY": str(envoy.policy_dir)}
        script = await asyncio.create_subprocess_exec("sh", IMAGE / "envoy.sh", env=env)
        assert await script.wait() == 0
        assert f'"max_heap_size_bytes": {400 * MIB}\n' in (tmp_path / "said").read_text()
