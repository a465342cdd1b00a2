"""Make addresses inside the cluster reachable from the host, each at a port of the loopback."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from e2e.cluster.node.daemons import Daemons, recorded
from e2e.cluster.node.errors import NodeError

__all__ = ["ensure_forward", "listen", "start_forwarder"]

_PROGRAM = Path(__file__).with_name("forwarder.py")


def listen(port: int = 0) -> socket.socket:
    """Open a listening socket on 127.0.0.1; port 0 takes a free one."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise NodeError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error


def start_forwarder(daemons: Daemons, name: str, listener: socket.socket, address: str, port: int) -> None:
    """Start the program that forwards the connections of `listener` to a name or address inside the cluster."""
    command = [sys.executable, "-I", str(_PROGRAM), "--address", address, "--port", str(port)]
    daemons.start(name, [*command, "--listener", str(listener.fileno())], inherit=[listener.fileno()])


def ensure_forward(daemons: Daemons, address: str, port: int, local_port: int = 0) -> int:
    """Return the local port that leads to an address inside, which stays until the cluster goes down.

    An existing forward to the same address is used again, unless another local port is asked for.
    """
    name = f"forward-{address}-{port}"
    record = daemons.layout.state / f"{name}.port"
    if recorded(daemons.layout).get(name, False) and record.exists():
        used = int(record.read_text())
        if local_port not in (0, used):
            raise NodeError(f"{address}:{port} is forwarded from 127.0.0.1:{used} already")
        return used
    with listen(local_port) as listener:
        start_forwarder(daemons, name, listener, address, port)
        used = int(listener.getsockname()[1])
    record.write_text(str(used))
    return used
