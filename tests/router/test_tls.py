"""HTTPS with the certificate of a mounted Secret, which is renewed without a restart and without losing a request."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from heterollm_agent.policy import MalformedPolicy, parse
from heterollm_controllers.routing.envoy.files import envoy_files
from tests.router.agent import Agent
from tests.router.certificates import issue, trusting
from tests.router.engine import Engine, slow
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.mount import Mount
from tests.router.patience import eventually

CHAT = "/v1/chat/completions"


async def enter(stack: AsyncExitStack, secret: dict[str, str]) -> tuple[Engine, Envoy, Mount]:
    """A router with an engine and this certificate."""
    engine = await stack.enter_async_context(Engine("s0"))
    envoy = Envoy(policy(tier("small", engine)), tls=True)
    mount = Mount(envoy.tls_dir, **secret)
    return engine, await stack.enter_async_context(envoy), mount


async def handshake(envoy: Envoy, context: ssl.SSLContext) -> ssl.SSLObject:
    """The TLS connection that a new client gets."""
    at = urlsplit(envoy.url)
    _, writer = await asyncio.open_connection(at.hostname, at.port, ssl=context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return found


async def test_requests_are_served_over_tls_only(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        secret = issue(tmp_path, "router")
        _, envoy, _ = await enter(stack, secret)
        connector = aiohttp.TCPConnector(ssl=trusting(secret))
        client = await stack.enter_async_context(aiohttp.ClientSession(envoy.url, connector=connector))
        answer = await client.post(CHAT, json=chat())
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "small")
        plain = await stack.enter_async_context(aiohttp.ClientSession(envoy.url.replace("https", "http")))
        with pytest.raises(aiohttp.ClientConnectionError):
            await plain.post(CHAT, json=chat())


async def test_clients_get_http2_if_they_want_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        secret = issue(tmp_path, "router")
        _, envoy, _ = await enter(stack, secret)
        assert (await handshake(envoy, trusting(secret, "h2", "http/1.1"))).selected_alpn_protocol() == "h2"
        assert (await handshake(envoy, trusting(secret, "http/1.1"))).selected_alpn_protocol() == "http/1.1"


async def test_a_renewed_certificate_is_shown_to_new_clients_and_costs_the_old_ones_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first, second = issue(tmp_path, "first"), issue(tmp_path, "second")
        engine, envoy, mount = await enter(stack, first)
        connector = aiohttp.TCPConnector(ssl=trusting(first))
        client = await stack.enter_async_context(aiohttp.ClientSession(envoy.url, connector=connector))
        engine.answer = slow
        held = asyncio.create_task(client.post(CHAT, json=chat()))
        await engine.waiting.wait()

        mount.put(**second)
        await eventually(lambda: accepted(envoy, second))
        assert not await accepted(envoy, first)
        engine.release.set()
        assert (await held).status == 200


async def test_a_certificate_that_does_not_fit_its_key_changes_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first, second, third = (issue(tmp_path, name) for name in ("first", "second", "third"))
        _, envoy, mount = await enter(stack, first)
        mount.put(**{"tls.crt": second["tls.crt"], "tls.key": third["tls.key"]})
        agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=envoy.admin_url))
        await agent.shows('envoy_rejects_total{resource="certificate"}', 1)
        assert await accepted(envoy, first)
        mount.put(**third)
        await eventually(lambda: accepted(envoy, third))


async def accepted(envoy: Envoy, secret: dict[str, str]) -> bool:
    """Whether the router shows this certificate."""
    try:
        await handshake(envoy, trusting(secret))
    except ssl.SSLCertVerificationError:
        return False
    return True


def test_a_pod_with_a_certificate_never_falls_back_to_plain_text() -> None:
    data = {**envoy_files(policy(tier("small")), 1), "version": "1"}
    assert "transport_socket" in parse(data, None, tls=True).files["lds.json"]
    assert "transport_socket" not in parse(data, None, tls=False).files["lds.json"]
    del data["lds-tls.json"]
    with pytest.raises(MalformedPolicy):
        parse(data, None, tls=True)
