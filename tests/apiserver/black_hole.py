"""A network that can fall silent: connections stay open, and nothing comes through any more."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

__all__ = ["BlackHole"]


class BlackHole:
    """A TCP proxy to a local port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def freeze(self) -> None:
        """Swallow everything from now on; also new connections are taken and left without an answer."""
        self._open.clear()

    def thaw(self) -> None:
        """Let new connections through. The frozen ones stay silent for ever, as after a lost route."""
        self._open.set()

    async def __aenter__(self) -> BlackHole:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if not self._open.is_set():
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(far_writer)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self._open.is_set():
                return
            writer.write(data)
            await writer.drain()
        writer.close()
