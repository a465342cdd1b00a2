"""Where the pod has keys of clients, nobody is served without one, and the engines never see them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.router.agent import Agent
from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.mount import Mount
from tests.router.patience import eventually

CHAT = "/v1/chat/completions"


class Router:
    """A router with an engine, whose agent has these Secrets mounted."""

    def __init__(self, stack: AsyncExitStack, place: Path, **secrets: str) -> None:
        self._stack = stack
        self._env = secrets

    async def enter(self) -> Router:
        """Start all of it."""
        self.engine = await self._stack.enter_async_context(Engine("s0"))
        self.envoy = await self._stack.enter_async_context(Envoy(policy(tier("small", self.engine))))
        mounts = {**self._env, "KEYS_DIR": str(self.envoy.keys_dir)}
        self.agent = Agent(self.envoy.policy_dir, admin=self.envoy.admin_url, env=mounts)
        await self._stack.enter_async_context(self.agent)
        self.client = await self._stack.enter_async_context(self.envoy.session())
        return self

    async def ask(self, authorization: str | None, **more: str) -> aiohttp.ClientResponse:
        """A chat request with this header."""
        headers = more if authorization is None else {**more, "authorization": authorization}
        return await self.client.post(CHAT, json=chat(), headers=headers)

    async def lets_in(self, key: str, status: int = 200) -> None:
        """Wait until a key is answered with this status."""

        async def look() -> bool:
            return (await self.ask(f"Bearer {key}")).status == status

        await eventually(look)


async def test_without_a_known_key_nothing_is_served_but_health(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mount = Mount(tmp_path / "clients", alice="key-a\n", bob="key-b")
        router = await Router(stack, tmp_path, CLIENT_KEYS=str(mount.path)).enter()
        await router.lets_in("key-a")
        await router.lets_in("key-b")
        for wrong in (
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer key-c",
            "Basic key-a",
            "Bearer key-a,key-b",
            "Bearer alice",
        ):
            refused = await router.ask(wrong)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            error = (await refused.json())["error"]
            assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
        assert (await router.client.get("/v1/models")).status == 401
        assert (await router.client.get("/nowhere")).status == 401
        assert (await router.client.get("/healthz")).status == 200
        assert await router.agent.metric("client_keys") == 2


async def test_engines_see_neither_keys_nor_forged_names(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mount = Mount(tmp_path / "clients", alice="key-a")
        router = await Router(stack, tmp_path, CLIENT_KEYS=str(mount.path)).enter()
        await router.lets_in("key-a")
        await router.ask("Bearer key-a", **{"x-llm-client": "root"})
        assert "authorization" not in router.engine.headers[-1]
        assert router.engine.headers[-1].get("x-llm-client") in (None, "alice")
        _, text = await router.agent.get("/metrics")
        assert 'client="alice"' in text
        assert "root" not in text
        assert "key-a" not in text


async def test_engines_see_their_own_key_instead(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        clients, engines = Mount(tmp_path / "clients", alice="key-a"), Mount(tmp_path / "engines", key="first\n")
        secrets = {"CLIENT_KEYS": str(clients.path), "ENGINE_KEY": str(engines.path / "key")}
        router = await Router(stack, tmp_path, **secrets).enter()
        await router.lets_in("key-a")
        assert router.engine.headers[-1]["authorization"] == "Bearer first"
        engines.put(key="second")

        async def renewed() -> bool:
            await router.ask("Bearer key-a")
            return router.engine.headers[-1]["authorization"] == "Bearer second"

        await eventually(renewed)


async def test_without_client_keys_what_clients_send_reaches_the_engines(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        router = await Router(stack, tmp_path).enter()
        assert (await router.ask("Bearer engine-key", **{"x-llm-client": "root"})).status == 200
        assert router.engine.headers[-1]["authorization"] == "Bearer engine-key"
        assert "x-llm-client" not in router.engine.headers[-1]


async def test_a_rotated_secret_is_in_force_without_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mount = Mount(tmp_path / "clients", alice="old", bob="key-b")
        router = await Router(stack, tmp_path, CLIENT_KEYS=str(mount.path)).enter()
        await router.lets_in("old")
        mount.put(alice="new", carol="key-c")
        await router.lets_in("new")
        # A new entry gets its link after the old ones have changed.
        await router.lets_in("key-c")
        assert (await router.ask("Bearer old")).status == 401
        assert (await router.ask("Bearer key-b")).status == 401


@pytest.mark.parametrize(
    ("entries", "in_force"),
    [
        ({}, 0),
        ({"alice": ""}, 0),
        ({"alice": "käse"}, 0),
        ({"alice": "two\nlines"}, 0),
        ({"alice": "same", "bob": "same"}, 1),
    ],
)
async def test_a_secret_that_is_wrong_lets_nobody_in_by_it(
    tmp_path: Path, entries: dict[str, str], in_force: int
) -> None:
    async with AsyncExitStack() as stack:
        mount = Mount(tmp_path / "clients", **entries)
        router = await Router(stack, tmp_path, CLIENT_KEYS=str(mount.path)).enter()
        await router.lets_in("nothing", 401)
        assert await router.agent.metric("client_keys") == in_force
        assert await router.agent.metric('envoy_rejects_total{resource="keys"}') == 0
        mount.put(alice="good")
        await router.lets_in("good")


async def test_a_secret_that_cannot_be_read_lets_nobody_in_and_is_counted(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        router = await Router(stack, tmp_path, CLIENT_KEYS=str(tmp_path / "none")).enter()
        await router.lets_in("anything", 401)
        failures = await router.agent.metric("secret_failures_total")
        assert failures is not None
        assert failures >= 1
