"""A port of the host's loopback that leads into the cluster's network namespace.

The listening socket is made in the host's namespace and handed to this program, which runs inside the cluster's: each
of its sockets stays in the namespace it was made in, so nothing has to be set up between the two. The program is
started by its path and imports nothing of the project.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket

_CHUNK_BYTES = 65536


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on one direction of a connection, its end included."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int) -> None:
    try:
        there, back = await asyncio.open_connection(address, port)
    except OSError:
        # Nothing listens there (yet): the client sees its connection closed.
        writer.close()
        return
    try:
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
    finally:
        back.close()
        writer.close()


async def _serve(listener: socket.socket, address: str, port: int) -> None:
    server = await asyncio.start_server(lambda r, w: _forward(r, w, address, port), sock=listener, backlog=512)
    await server.serve_forever()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--address", required=True, help="name or address inside the cluster's network")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    with socket.socket(fileno=arguments.listener) as listener:
        asyncio.run(_serve(listener, arguments.address, arguments.port))


if __name__ == "__main__":
    _main()
