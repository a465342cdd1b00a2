"""The forwarder between the host's loopback and the cluster's network passes bytes and ends of streams."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.node import forward
from e2e.cluster.node.errors import NodeError

_PROGRAM = Path(forward.__file__).with_name("forwarder.py")
_TIMEOUT_S = 10.0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_TIMEOUT_S)
        yield listener


@pytest.fixture
def forwarded(server: socket.socket) -> Iterator[tuple[str, int]]:
    """The address that leads to the server."""
    with forward.listen() as listener:
        command = [sys.executable, "-I", str(_PROGRAM), "--listener", str(listener.fileno())]
        command += ["--address", "127.0.0.1", "--port", str(server.getsockname()[1])]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as process:
            yield listener.getsockname()
            process.terminate()


def _connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=_TIMEOUT_S)


def test_an_answer_may_follow_the_end_of_the_request(server: socket.socket, forwarded: tuple[str, int]) -> None:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            request = b"".join(iter(lambda: connection.recv(65536), b""))
            connection.sendall(request.upper())

    thread = threading.Thread(target=answer)
    thread.start()
    request = b"some text " * 100_000
    with _connect(forwarded) as client:

        def ask() -> None:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=ask)
        sender.start()
        received = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join()
    thread.join()
    assert received == request.upper()


def test_nothing_behind_it_closes_the_connection(server: socket.socket, forwarded: tuple[str, int]) -> None:
    server.close()
    with _connect(forwarded) as client:
        assert client.recv(1) == b""


def test_a_port_in_use_is_refused_with_its_number(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with pytest.raises(NodeError, match=str(port)):
        forward.listen(port)
