"""The clients: raw kept-alive connections, each of which sends its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

__all__ = ["BadAnswer", "Load", "run_load"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SENT = re.compile(rb"~(\d+)~")
"""In each event: when it was sent, in nanoseconds of the clock that all processes share."""
_PATIENCE = 30.0
"""Seconds that the last answers may take."""


class BadAnswer(Exception):
    """A side did not answer as it must; the message quotes it."""


@dataclass
class Load:
    """What the clients saw: seconds of each request, milliseconds of each event between engine and client."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    event_delays: list[float] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, messages: Iterator[bytes], until: float, streamed: bool) -> None:
        self._load, self._messages, self._until, self._streamed = load, messages, until, streamed
        self._received = bytearray()
        self._events_read = 0
        self._began = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("The connection was closed.")

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._received += data
        if self._streamed:
            self._note_events(now)
        if not self._complete():
            return
        if not self._received.startswith(b"HTTP/1.1 200"):
            return self._fail(self._received[:2000].decode(errors="replace"))
        self._load.latencies.append(now - self._began)
        if now < self._until:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        self._received.clear()
        self._events_read = 0
        self._began = time.monotonic()
        self._transport.write(next(self._messages))

    def _note_events(self, now: float) -> None:
        for sent in _SENT.finditer(self._received, self._events_read):
            self._load.event_delays.append(now * 1e3 - int(sent[1]) / 1e6)
            self._events_read = sent.end()

    def _complete(self) -> bool:
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        if length := _LENGTH.search(self._received, 0, head_end):
            return len(self._received) >= head_end + 4 + int(length[1])
        return self._received.endswith(b"0\r\n\r\n")

    def _fail(self, what: str) -> None:
        if not self.done.done():
            self.done.set_exception(BadAnswer(what))


async def run_load(port: int, messages: list[bytes], connections: int, seconds: float, *, streamed: bool) -> Load:
    """Send for so many seconds and wait for the last answers; raises BadAnswer at the first that is no success."""
    loop = asyncio.get_running_loop()
    load, in_turn, began = Load(), itertools.cycle(messages), time.monotonic()

    def client() -> _Client:
        return _Client(load, in_turn, began + seconds, streamed)

    clients = []
    try:
        for _ in range(connections):
            clients.append((await loop.create_connection(client, "127.0.0.1", port))[1])
        async with asyncio.timeout(seconds + _PATIENCE):
            await asyncio.gather(*(one.done for one in clients))
    except (OSError, TimeoutError) as error:
        raise BadAnswer(f"{type(error).__name__} {error}") from error
    finally:
        for one in clients:
            one.close()
    load.seconds = time.monotonic() - began
    return load
