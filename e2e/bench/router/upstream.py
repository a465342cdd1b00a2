"""The stub engines behind every side: fixed answers over raw connections, as cheap as Python can be.

Usage: python -m e2e.bench.router.upstream ENGINES. Prints the engines' ports, then serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

from e2e.bench.router.cases import MODEL

__all__ = ["EVENTS", "EVENT_SECONDS"]

EVENTS = 16
"""Events of a streamed answer."""
EVENT_SECONDS = 0.01
"""Time between two of them."""

_STREAMED = re.compile(rb'"stream": ?true')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_TEXT = "Your parcel was handed to a neighbour; the note with the name should be in your letter box. " * 8
_ABOUT = {"id": "chatcmpl-0", "created": 1700000000, "model": MODEL}


def _answer(body: object) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text)


_PLAIN = _answer(
    {
        **_ABOUT,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 480, "completion_tokens": 160, "total_tokens": 640},
    }
)
_INFORMATION = _answer(
    # What gateways ask an engine before they use it: /server_info, /model_info, /v1/models, /health.
    {
        "model_path": MODEL,
        "served_model_name": MODEL,
        "is_generation": True,
        "tp_size": 1,
        "dp_size": 1,
        "version": "0.5.23",
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "owned_by": "sglang"}],
    }
)
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(finish: str | None) -> tuple[bytes, bytes]:
    """What stands before and after the time of sending in one event."""
    choice = {"index": 0, "delta": {"content": "~@~"}, "finish_reason": finish}
    text = json.dumps({**_ABOUT, "object": "chat.completion.chunk", "choices": [choice]})
    before, after = text.encode().split(b"@")
    return b"data: " + before, after + b"\n\n"


_EVENT, _LAST = _event(None), _event("stop")
_DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class _Engine(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0 or not self._complete(head_end + 4):
            return
        request, self._received = self._received, b""
        assert self._transport is not None
        if request.startswith(b"GET"):
            self._transport.write(_INFORMATION)
        elif _STREAMED.search(request):
            self._transport.write(_STREAM)
            self._send_event(EVENTS)
        else:
            self._transport.write(_PLAIN)

    def _complete(self, body: int) -> bool:
        """Whether the request that is being received is; its body begins at `body`."""
        head = self._received[:body]
        if length := _LENGTH.search(head):
            return len(self._received) >= body + int(length[1])
        return not _CHUNKED.search(head) or self._received.endswith(b"0\r\n\r\n")

    def _send_event(self, left: int) -> None:
        if self._transport is None:
            return
        before, after = _LAST if left == 1 else _EVENT
        event = b"%s%d%s" % (before, time.monotonic_ns(), after)
        self._transport.write(b"%x\r\n%s\r\n%s" % (len(event), event, _DONE if left == 1 else b""))
        if left > 1:
            self._loop.call_later(EVENT_SECONDS, self._send_event, left - 1)


async def _serve(engines: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: _Engine(loop), "127.0.0.1", 0) for _ in range(engines)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
