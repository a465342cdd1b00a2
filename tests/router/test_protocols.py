"""The listener speaks HTTP/2 in clear text beside HTTP/1.1."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from tests.router.envoy import Envoy, policy, tier

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
FRAME_TYPE = 3


async def test_a_client_with_prior_knowledge_gets_http2() -> None:
    async with Envoy(policy(tier("small"))) as envoy, asyncio.timeout(10):
        at = urlsplit(envoy.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.write(PREFACE + SETTINGS)
        frame = await reader.readexactly(len(SETTINGS))
        writer.close()
        assert frame[FRAME_TYPE] == SETTINGS[FRAME_TYPE]
