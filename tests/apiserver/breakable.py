"""The operator with a fault that signals bring about: SIGUSR1 breaks one watch, SIGUSR2 ends Kopf, SIGHUP blocks it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from kopf._cogs.clients import api

from heterollm_cli import main as cli

__all__: list[str] = []

_stream = api.stream
_loops: list[asyncio.AbstractEventLoop] = []
_broken: list[str] = []


async def stream(**options: Any) -> AsyncIterator[Any]:
    """As Kopf's: a watch's events."""
    _loops.append(asyncio.get_running_loop())
    async for event in _stream(**options):
        if _broken:
            raise RuntimeError("broken by the test")
        yield event


def in_kopf(function: Callable[[], Any]) -> Callable[..., None]:
    """A signal's handler that calls the function in Kopf's event loop."""

    def handle(*_: Any) -> None:
        _loops[0].call_soon_threadsafe(function)

    return handle


def end() -> None:
    """Leave the event loop."""
    raise SystemExit(3)


if __name__ == "__main__":
    api.stream = stream  # type: ignore[assignment]
    signal.signal(signal.SIGUSR1, lambda *_: _broken.append("now"))
    signal.signal(signal.SIGUSR2, in_kopf(end))
    signal.signal(signal.SIGHUP, in_kopf(lambda: time.sleep(3600)))
    cli.main()
