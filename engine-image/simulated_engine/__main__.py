"""``python -m simulated_engine``: started like ``python -m sglang.launch_server``."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from . import config, process

__all__ = ["main"]

ARGUMENTS_VARIABLE = "SIMULATED_ENGINE_ARGS"
"""Options put before those of the command line, for defaults of an image or a pod."""


def main(words: Sequence[str]) -> int:
    """Run until the end; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if "--help" in words or "-h" in words:
        print(f"A simulated SGLang server: no model is run.\n\n{config.SIMULATION_HELP}", end="")
        return 0
    try:
        settings = config.from_words([*shlex.split(os.environ.get(ARGUMENTS_VARIABLE, "")), *words])
    except ValueError as error:
        print(f"simulated engine: error: {error}", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(process.run(settings))


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's event loop where it is installed: it serves more requests per second."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
