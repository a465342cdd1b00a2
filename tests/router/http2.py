"""As much of HTTP/2 as one request after another needs, so that no library stands between a test and the wire."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

__all__ = ["Http2"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _GOAWAY, _WINDOW = 0, 1, 4, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_LARGEST = 16384
"""Bytes in one frame."""
_STATUSES = {0x88: 200, 0x8C: 400, 0x8D: 404}
"""Statuses that HPACK has in its table, by their byte; all others begin otherwise."""


class Http2:
    """One connection."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        self._at = urlsplit(url)
        self._context = context
        self._stream = -1

    async def __aenter__(self) -> Http2:
        self._reader, self._writer = await asyncio.open_connection(self._at.hostname, self._at.port, ssl=self._context)
        self._writer.write(_PREFACE)
        self._send(_SETTINGS, 0, 0, b"")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._writer.close()

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, bytes]:
        """Status (0 for one that is not in the table) and body of the answer."""
        self._stream += 2
        fields = {":method": "POST", ":scheme": "http", ":authority": "a", ":path": path, **headers}
        self._send(_HEADERS, _END_HEADERS, self._stream, b"".join(map(_literal, fields, fields.values())))
        for start in range(0, len(body), _LARGEST):
            piece = body[start : start + _LARGEST]
            self._send(_DATA, _END_STREAM if start + _LARGEST >= len(body) else 0, self._stream, piece)
        return await self._answer()

    async def _answer(self) -> tuple[int, bytes]:
        status, body = 0, b""
        while True:
            kind, flags, stream, payload = await self._receive()
            if kind == _GOAWAY:
                raise ConnectionError(payload)
            if stream != self._stream:
                continue
            if kind == _HEADERS:
                status = _STATUSES.get(payload[0], 0)
            if kind == _DATA:
                body += payload
                self._send(_WINDOW, 0, 0, struct.pack(">I", max(1, len(payload))))
            if flags & _END_STREAM and kind in (_HEADERS, _DATA):
                return status, body

    async def _receive(self) -> tuple[int, int, int, bytes]:
        head = await self._reader.readexactly(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind == _SETTINGS and not flags & _ACK:
            self._send(_SETTINGS, _ACK, 0, b"")
        return kind, flags, stream, payload

    def _send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._writer.write(len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload)


def _literal(name: str, value: str) -> bytes:
    """A field that enters no table."""
    return b"\x00" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))
