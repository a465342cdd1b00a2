"""Our router beside plain Envoy, SGLang's gateways and proxies in Python, in one run against the same stub engines.

Usage: python -m e2e.bench.router [--seconds S] [--repeat N] [--side NAME ...] [--scorer] [--parts]

Everything is on loopback. Each side has one core and one worker thread, clients and stub engines share the other core
and are not counted. The sides take turns in every case and every repeat, and medians are shown. The other gateways are
installed on first use, into a cache of their own. A side that does not start or answer within its time is left out, and
whatever was started ends with the run, also when that is interrupted or told to end. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from e2e.bench.router.cases import CASES, Case
from e2e.bench.router.installs import Absent, environment
from e2e.bench.router.load import BadAnswer
from e2e.bench.router.measure import Figures, Running, engines, measure, started
from e2e.bench.router.parts import PARTS
from e2e.bench.router.process import cores
from e2e.bench.router.report import as_json, show
from e2e.bench.router.sides import DEFAULT, SIDES


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.8, help="length of a measurement (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--side", action="append", choices=SIDES, help="only this side; may be repeated")
    parser.add_argument("--scorer", action="store_true", help="what `auto` costs against a named tier")
    parser.add_argument("--parts", action="store_true", help="what each part of our router costs")
    options = parser.parse_args()
    # Until there is an event loop that ends in good order, being told to end must not leave an installation behind.
    signal.signal(signal.SIGTERM, _give_up)
    sides = _sides(options)
    absent = _install(sides)
    os.sched_setaffinity(0, {cores()[1]})
    try:
        uvloop.run(_until_told(_run([side for side in sides if side not in absent], options, absent)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("interrupted")


def _give_up(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _install(sides: Sequence[str]) -> dict[str, str]:
    """What must be there before anything is started; the sides that are absent, and why."""
    absent = {}
    for name in sides:
        package = SIDES[name].package
        try:
            if package is not None:
                environment(package)
        except Absent as reason:
            absent[name] = str(reason)
    return absent


async def _until_told(run: Coroutine[None, None, None]) -> None:
    """Runs, and ends in good order on SIGTERM, too; SIGINT does so by itself."""
    task = asyncio.ensure_future(run)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _sides(options: argparse.Namespace) -> Sequence[str]:
    if options.scorer:
        return ("direct", "ours", "ours-explicit")
    if options.parts:
        return ("envoy", "ours", *(f"ours-without-{part}" for part in PARTS))
    return options.side or DEFAULT


async def _run(sides: Sequence[str], options: argparse.Namespace, absent: dict[str, str]) -> None:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = stack.enter_context(engines(directory))
        ready: list[Running] = []
        for name in sides:
            print(f"==> starting {name}", file=sys.stderr)
            try:
                ready.append(await stack.enter_async_context(started(name, ports, directory)))
            except Absent as reason:
                absent[name] = str(reason)
        results: dict[str, dict[Case, list[Figures]]] = {side.name: {case: [] for case in CASES} for side in ready}
        for number in range(options.repeat):
            for case in CASES:
                print(f"==> round {number + 1} of {options.repeat}: {case.name}", file=sys.stderr)
                await _round(ready, case, options.seconds, results, absent)
    show(results, absent)
    print(json.dumps(as_json(results, absent)))


async def _round(
    sides: list[Running],
    case: Case,
    seconds: float,
    results: dict[str, dict[Case, list[Figures]]],
    absent: dict[str, str],
) -> None:
    """The sides in turn; one that fails a request has no figures any more, but the reason."""
    for side in list(sides):
        try:
            results[side.name][case].append(await measure(side, case, seconds))
        except BadAnswer as error:
            absent[side.name] = f"failed at {case.name}: {error}"
            sides.remove(side)
            del results[side.name]


if __name__ == "__main__":
    main()
