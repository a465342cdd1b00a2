"""Ports for processes that must be told theirs before they listen."""

from __future__ import annotations

import itertools
import os
import socket

__all__ = ["free_port"]

_FIRST = 10_000
"""Below those of control planes, and of whoever asks the kernel for any: nobody takes a port before its process."""
_EACH = 2_000
"""Ports of one of pytest's workers, `gw0` and so on."""


def _ports() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return range(_FIRST + _EACH * worker, _FIRST + _EACH * (worker + 1))


# Runs that share a machine begin at different ones.
_PORTS = itertools.islice(itertools.cycle(_ports()), os.getpid() % _EACH, None)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and which no other caller is given."""
    return next(port for port in _PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
