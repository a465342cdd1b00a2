"""A router admits to a tier what the tier can hold: a part of that for everybody, all of it for reserved clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.router.agent import Agent
from tests.router.engine import Engine, crash, error, ok, slow
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.mount import Mount
from tests.router.patience import eventually

CHAT = "/v1/chat/completions"
RESERVED = {"x-llm-priority": "reserved"}


class Crowd:
    """Requests that are held by an engine until it is told to answer."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._tasks: list[asyncio.Task[aiohttp.ClientResponse]] = []

    def ask(self, count: int, headers: dict[str, str] | None = None, **request: Any) -> None:
        """Send this many at once."""
        for number in range(count):
            body = chat(f"request {len(self._tasks)} {number}", **request)
            self._tasks.append(asyncio.create_task(self._client.post(CHAT, json=body, headers=headers)))

    def refused(self) -> int:
        """Number of those answered already."""
        return sum(task.done() for task in self._tasks)

    async def settles(self, engine: Engine, held: int, refused: int) -> None:
        """Wait until so many are at the engine and so many were refused."""

        async def look() -> bool:
            return (len(engine.requests), self.refused()) == (held, refused)

        await eventually(look)

    async def statuses(self) -> Counter[int]:
        """Of all, when they are answered."""
        return Counter([(await task).status for task in self._tasks])


async def enter(stack: AsyncExitStack, *engines: Engine, **more: Any) -> tuple[Envoy, Crowd]:
    """A router whose tier holds ten requests, two of them for reserved ones."""
    wanted = {"reserved_percent": 20, "trust_headers": True} | more
    envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines, max_requests=10), **wanted)))
    return envoy, Crowd(await stack.enter_async_context(aiohttp.ClientSession(envoy.url)))


async def test_others_may_fill_the_normal_share_and_reserved_requests_the_rest() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        _, crowd = await enter(stack, engine)
        crowd.ask(12)
        await crowd.settles(engine, held=8, refused=4)
        crowd.ask(5, RESERVED)
        await crowd.settles(engine, held=10, refused=7)
        engine.release.set()
        assert await crowd.statuses() == {200: 10, 429: 7}


async def test_reserved_requests_may_fill_everything_and_the_tier_is_never_overfull() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        _, crowd = await enter(stack, engine)
        crowd.ask(13, RESERVED)
        await crowd.settles(engine, held=10, refused=3)
        crowd.ask(4)
        await crowd.settles(engine, held=10, refused=7)
        engine.release.set()
        assert await crowd.statuses() == {200: 10, 429: 7}


async def test_who_is_refused_is_told_when_to_come_back_and_is_counted() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        envoy, crowd = await enter(stack, engine)
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        crowd.ask(8)
        await crowd.settles(engine, held=8, refused=0)
        async with envoy.session() as client:
            refused = await client.post(CHAT, json=chat())
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert (await refused.json())["error"]["code"] == "overloaded"
        _, text = await agent.get("/metrics")
        assert 'reason="overloaded",code="429"} 1' in text
        place = 'heterollm_tier="small",decision="score",wanted_tier="small",code="429"'
        assert f'{place},attempts="1",diverted="",low_quality="false"}} 1' in text
        engine.release.set()
        assert await crowd.statuses() == {200: 8}
        crowd.ask(8)
        assert await crowd.statuses() == {200: 16}, "the room is there again"


@pytest.mark.parametrize(
    ("more", "headers", "held"),
    [
        ({"trust_headers": False, "reserved_clients": ("alice",)}, RESERVED, 8),
        ({"trust_headers": False, "reserved_clients": ("alice",)}, {"x-llm-client": "alice"}, 8),
        ({"reserved_clients": ("alice",)}, {"x-llm-priority": "Reserved"}, 8),
        ({}, {"x-llm-priority": "normal"}, 8),
        ({"trust_headers": False}, RESERVED, 8),
        ({"reserved_percent": 0}, RESERVED, 10),
        ({"reserved_percent": 0}, {}, 10),
    ],
)
async def test_nobody_makes_himself_reserved(more: dict[str, Any], headers: dict[str, str], held: int) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        _, crowd = await enter(stack, engine, **more)
        crowd.ask(14, headers)
        await crowd.settles(engine, held=held, refused=14 - held)
        engine.release.set()


async def with_keys(stack: AsyncExitStack, tmp_path: Path, engine: Engine) -> Crowd:
    """A router that knows alice, bob and carol by their keys, of whom bob is not reserved."""
    envoy, crowd = await enter(stack, engine, trust_headers=False, reserved_clients=("alice", "carol"))
    mount = Mount(tmp_path / "clients", alice="key-a", bob="key-b", carol="key-c")
    env = {"CLIENT_KEYS": str(mount.path), "KEYS_DIR": str(envoy.keys_dir)}
    await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url, env=env))
    client = await stack.enter_async_context(envoy.session())

    async def asks() -> bool:
        return (await client.get("/v1/models")).status == 401

    await eventually(asks)
    return crowd


async def test_reserved_clients_are_known_by_their_keys(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        crowd = await with_keys(stack, tmp_path, engine)
        crowd.ask(9, {"authorization": "Bearer key-b"} | RESERVED)
        await crowd.settles(engine, held=8, refused=1)
        crowd.ask(1, {"authorization": "Bearer key-a"})
        crowd.ask(2, {"authorization": "Bearer key-c"})
        await crowd.settles(engine, held=10, refused=2)
        engine.release.set()
        assert await crowd.statuses() == {200: 10, 429: 2}


async def test_a_forged_priority_gets_nothing_of_what_is_kept_for_reserved_requests(tmp_path: Path) -> None:
    """Whoever holds the places that everybody may use."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        crowd = await with_keys(stack, tmp_path, engine)
        crowd.ask(6, {"authorization": "Bearer key-a"})
        await crowd.settles(engine, held=6, refused=0)
        crowd.ask(5, {"authorization": "Bearer key-b"} | RESERVED)
        await crowd.settles(engine, held=8, refused=3)
        engine.release.set()


async def test_routers_share_the_capacity() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", slow))
        _, crowd = await enter(stack, engine, routers=3, reserved_percent=50)
        crowd.ask(6)
        await crowd.settles(engine, held=2, refused=4)
        crowd.ask(6, RESERVED)
        await crowd.settles(engine, held=4, refused=8)
        engine.release.set()


async def crash_once(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Dies with a request in its hands, and fails it when it comes again: two lost engines would be enough."""
    name = request.headers["x-request-id"]
    again = sum(headers["x-request-id"] == name for headers in engine.headers) > 1
    return await (error if again else crash)(engine, request)


@pytest.mark.parametrize("answer", [error, crash_once])
@pytest.mark.parametrize("reserved", [0, 25])
async def test_what_leaves_a_failing_tier_never_overloads_the_next(answer: Any, reserved: int) -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0", answer))
        large = Peak(await stack.enter_async_context(Engine("l0")))
        more = {"reserved_percent": reserved, "trust_headers": True}
        tiers = policy(tier("small", small, max_requests=100), tier("large", large.engine, max_requests=4), **more)
        envoy = await stack.enter_async_context(Envoy(tiers))
        crowd = Crowd(await stack.enter_async_context(aiohttp.ClientSession(envoy.url)))
        for _ in range(5):
            crowd.ask(40)
            statuses = await crowd.statuses()
        assert large.most == 4 - reserved * 4 // 100
        assert statuses.keys() == {200, 429}
        assert statuses[200] == large.served


@pytest.mark.parametrize(("trusted", "most"), [(True, 4), (False, 3)])
async def test_a_forged_priority_gets_no_more_of_the_next_tier_either(trusted: bool, most: int) -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0", error))
        large = Peak(await stack.enter_async_context(Engine("l0")))
        more: dict[str, Any] = {"reserved_percent": 25, "trust_headers": trusted, "reserved_clients": ("alice",)}
        tiers = policy(tier("small", small, max_requests=100), tier("large", large.engine, max_requests=4), **more)
        envoy = await stack.enter_async_context(Envoy(tiers))
        crowd = Crowd(await stack.enter_async_context(aiohttp.ClientSession(envoy.url)))
        for _ in range(5):
            crowd.ask(40, RESERVED)
            await crowd.statuses()
        assert large.most == most


class Peak:
    """Counts what an engine has in flight."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.engine.answer = self._answer
        self.served = self.most = self._now = 0

    async def _answer(self, engine: Engine, request: web.Request) -> web.StreamResponse:
        self.served += 1
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.02)
        self._now -= 1
        return await ok(engine, request)


async def test_a_diverted_share_is_admitted_where_it_goes() -> None:
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(Engine("s0", slow))
        large = await stack.enter_async_context(Engine("l0", slow))
        tiers = policy(
            tier("small", small, max_requests=100, diverted_percent=50),
            tier("large", large, max_requests=10),
            reserved_percent=20,
            trust_headers=True,
        )
        envoy = await stack.enter_async_context(Envoy(tiers))
        crowd = Crowd(await stack.enter_async_context(aiohttp.ClientSession(envoy.url)))
        crowd.ask(60)

        async def all_settled() -> bool:
            return len(small.requests) + len(large.requests) + crowd.refused() == 60

        await eventually(all_settled)
        assert len(large.requests) == 8
        assert 20 <= len(small.requests) <= 40
        crowd.ask(40, RESERVED)

        async def full() -> bool:
            return len(large.requests) == 10

        await eventually(full)
        for engine in (small, large):
            engine.release.set()
        await crowd.statuses()
