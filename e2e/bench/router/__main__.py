"""Our router beside plain Envoy, SGLang's gateways and proxies in Python, in one run against the same stub engines.

Usage: python -m e2e.bench.router [--seconds S] [--repeat N] [--side NAME ...] [--scorer] [--parts]

Everything is on loopback. Each side has one core and one worker thread, clients and stub engines share the other core
and are not counted. The sides take turns in every case and every repeat, and medians are shown. The other gateways are
installed on first use, into a cache of their own. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from e2e.bench.router.cases import CASES, Case
from e2e.bench.router.installs import Absent
from e2e.bench.router.load import BadAnswer
from e2e.bench.router.measure import Figures, Running, engines, measure, started
from e2e.bench.router.parts import PARTS
from e2e.bench.router.process import cores
from e2e.bench.router.report import as_json, show
from e2e.bench.router.sides import DEFAULT, SIDES


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a measurement (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--side", action="append", choices=SIDES, help="only this side; may be repeated")
    parser.add_argument("--scorer", action="store_true", help="what `auto` costs against a named tier")
    parser.add_argument("--parts", action="store_true", help="what each part of our router costs")
    options = parser.parse_args()
    os.sched_setaffinity(0, {cores()[1]})
    uvloop.run(_run(_sides(options), options.repeat, options.seconds))


def _sides(options: argparse.Namespace) -> Sequence[str]:
    if options.scorer:
        return ("direct", "ours", "ours-explicit")
    if options.parts:
        return ("envoy", "ours", *(f"ours-without-{part}" for part in PARTS))
    return options.side or DEFAULT


async def _run(sides: Sequence[str], repeat: int, seconds: float) -> None:
    absent: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = stack.enter_context(engines(directory))
        ready: list[Running] = []
        for name in sides:
            try:
                ready.append(await stack.enter_async_context(started(name, ports, directory)))
            except Absent as reason:
                absent[name] = str(reason)
        results: dict[str, dict[Case, list[Figures]]] = {side.name: {case: [] for case in CASES} for side in ready}
        for number in range(repeat):
            print(f"==> round {number + 1} of {repeat}", file=sys.stderr)
            await _round(ready, seconds, results, absent)
    show(results, absent)
    print(json.dumps(as_json(results, absent)))


async def _round(
    sides: list[Running], seconds: float, results: dict[str, dict[Case, list[Figures]]], absent: dict[str, str]
) -> None:
    """All cases, the sides in turn; one that fails a request has no figures any more, but the reason."""
    for case in CASES:
        for side in list(sides):
            try:
                results[side.name][case].append(await measure(side, case, seconds))
            except BadAnswer as error:
                absent[side.name] = f"failed at {case.name}: {error}"
                sides.remove(side)
                del results[side.name]


if __name__ == "__main__":
    main()
