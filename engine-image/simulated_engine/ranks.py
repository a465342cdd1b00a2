"""The bond between the nodes of one engine, standing in for torch's process group.

Every other rank opens one TCP connection to the leader's ``--dist-init-addr`` and both sides keep it for life. The
leader lets everybody go once all are there. When a connection ends without a word, the engine is dead, as it would be
with torch: whoever notices exits with an error. A leader that ends properly says so first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from .config import Node

__all__ = ["EngineLost", "Followers", "join"]

log = logging.getLogger(__name__)

START = b"start\n"
STOP = b"stop\n"
RETRY_SECONDS = 0.1
CONNECT_SECONDS = 2.0
"""An address that no pod has any more answers nothing; meanwhile the leader's name may mean another."""


class EngineLost(Exception):
    """Another rank is gone, or never came."""


class Followers:
    """The leader's side."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._complete = asyncio.Event()
        self._lost: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None

    async def gather(self) -> None:
        """Wait until every rank is here."""
        if self._node.count == 1:
            return
        self._server = await asyncio.start_server(self._greet, port=self._node.leader_port)
        try:
            await asyncio.wait_for(self._complete.wait(), self._node.join_timeout)
        except TimeoutError:
            missing = sorted(set(range(1, self._node.count)) - self._writers.keys())
            raise EngineLost(f"ranks {missing} did not join in {self._node.join_timeout:.0f} s") from None
        for writer in self._writers.values():
            writer.write(START)

    async def loss(self) -> None:
        """Raise as soon as a rank is gone."""
        rank = await self._lost
        raise EngineLost(f"rank {rank} is gone")

    async def dismiss(self) -> None:
        """Tell the ranks that the engine ends properly."""
        for writer in self._writers.values():
            with contextlib.suppress(OSError):
                writer.write(STOP)
                await writer.drain()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            rank = int(await reader.readline())
        except (OSError, ValueError):
            writer.close()
            return
        if rank in self._writers or not 0 < rank < self._node.count:
            log.error("refused a connection that calls itself rank %d", rank)
            writer.close()
            return
        self._writers[rank] = writer
        log.info("rank %d joined, %d of %d", rank, len(self._writers) + 1, self._node.count)
        if len(self._writers) == self._node.count - 1:
            self._complete.set()
        with contextlib.suppress(OSError):
            await reader.read()
        if not self._complete.is_set():
            # Not all were there yet: the rank may come again.
            del self._writers[rank]
        elif not self._lost.done():
            self._lost.set_result(rank)


class Leader:
    """The connection of another rank to the leader."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def end(self) -> None:
        """Return when the leader ends properly, raise when it is gone."""
        if await _line(self._reader) != STOP:
            raise EngineLost("the leader is gone")


async def join(node: Node) -> Leader:
    """Find the leader, introduce this rank, and wait until the engine is complete."""
    try:
        async with asyncio.timeout(node.join_timeout):
            while True:
                reader, writer = await _connect(node)
                writer.write(f"{node.rank}\n".encode())
                if await _line(reader) == START:
                    return Leader(reader, writer)
                # The leader restarted before the engine was complete.
                writer.close()
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise EngineLost(f"no engine at {node.leader_host}:{node.leader_port} in {node.join_timeout:.0f} s") from None


async def _connect(node: Node) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        # The leader's name may not resolve, or nobody may listen, for as long as its pod starts.
        with contextlib.suppress(OSError):
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(node.leader_host, node.leader_port)
        await asyncio.sleep(RETRY_SECONDS)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except OSError:
        return b""
