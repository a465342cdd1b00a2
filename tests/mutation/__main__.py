"""`make mutants`: change the code a little, and see whether a test notices. Safe to run again: it goes on.

make mutants                           the whole core and the router's module (hours)
make mutants ONLY=traffic              one folder of the core, or "module" for the router's
make mutants SAMPLE=400 SEED=1         about so many of each, drawn by the seed
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter

from tests.mutation import core, module
from tests.mutation.rooms import ROOMS
from tests.mutation.scratch import SCRATCH

_FAMILIES = ("killed", "timeout", "survived", "no tests", "not tried")


def main() -> int:
    """Run, tell who survived, and print one line of JSON at the end."""
    parser = argparse.ArgumentParser(description="Mutation tests")
    parser.add_argument("--only", choices=[*ROOMS, "module"], help="one folder of the core, or the router's module")
    parser.add_argument("--sample", type=int, help="try about so many of each")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    args = parser.parse_args()
    try:
        if args.only != "module":
            rooms = [args.only] if args.only else list(ROOMS)
            _core(rooms, args.sample, args.seed, args.jobs)
        if args.only in (None, "module"):
            _module(args.sample, args.seed, args.jobs)
    except (core.Incomplete, module.Incomplete) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _core(rooms: list[str], sample: int | None, seed: int, jobs: int) -> None:
    found = core.run(rooms, sample, seed, jobs)
    alive = SCRATCH / "survivors.txt"
    with alive.open("w") as file:
        for room, result in found.items():
            for name in sorted(name for name, code in result.items() if core.outcome(code) == "survived"):
                file.write(core.show(room, name) + "\n")
    print(f"==> the diffs of those that survived are in {alive}")
    counts = sum((core.outcomes(result) for result in found.values()), Counter())
    by_room = {room: _score(core.outcomes(result)) for room, result in found.items() if result}
    _tell("core", counts, rooms=by_room, **_drawn(sample, seed))


def _module(sample: int | None, seed: int, jobs: int) -> None:
    _tell("module", module.run(sample, seed, jobs), **_drawn(sample, seed))


def _drawn(sample: int | None, seed: int) -> dict[str, int]:
    return {} if sample is None else {"sample": sample, "seed": seed}


def _tell(what: str, counts: Counter[str], **more: object) -> None:
    line = {"what": what, "mutants": counts.total(), "score": _score(counts)}
    print(json.dumps(line | {kind.replace(" ", "_"): counts[kind] for kind in _FAMILIES} | more))


def _score(counts: Counter[str]) -> float:
    """Per cent of the mutants that a test has noticed; one that no test runs was not."""
    tried = counts.total() - counts["not tried"]
    return round(100 * (counts["killed"] + counts["timeout"]) / tried, 1) if tried else 0.0


if __name__ == "__main__":
    sys.exit(main())
