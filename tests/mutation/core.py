"""Mutants of the pure core, by mutmut."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutation.rooms import ROOMS
from tests.mutation.scratch import prepare, results

__all__ = ["Incomplete", "Result", "run", "show"]

_MUTMUT = str(Path(sys.executable).with_name("mutmut"))
_NOBODY = "no-such-mutant"
_OUTCOME = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests"} | dict.fromkeys(
    (-24, 24, 36, 152, 255), "timeout"
)
"""What exit codes of pytest under mutmut mean; a mutant by which Python itself ends is dead, too."""

Result = dict[str, int | None]
"""How pytest ended for each mutant; None for one that was not run."""


class Incomplete(RuntimeError):
    """The run could not go on; its output says why."""


def run(rooms: Sequence[str], sample: int | None, seed: int, jobs: int) -> dict[str, Result]:
    """Try the mutants of these folders, or a sample of them, and return how each ended.

    What an earlier run has tried is not tried again. Raises Incomplete where the tests fail without any mutant.
    """
    places = {room: prepare(room) for room in rooms}
    for room, place in places.items():
        if not (place / "mutants" / "mutmut-stats.json").exists():
            _generate(room, place, jobs)
    everything = [(room, name) for room, place in places.items() for name in sorted(results(place))]
    if sample is not None and sample < len(everything):
        everything = random.Random(seed).sample(everything, sample)
    chosen = {room: [name for at, name in everything if at == room] for room in rooms}
    for room, place in places.items():
        known = results(place)
        todo = [name for name in chosen[room] if known[name] is None]
        print(f"==> {room}: {len(todo)} of {len(known)} mutants to try", flush=True)
        if todo and _mutmut(place, jobs, todo):
            raise Incomplete(f"mutmut ended in {place}")
    found = {room: results(place) for room, place in places.items()}
    return {room: {name: found[room][name] for name in names} for room, names in chosen.items()}


def outcomes(result: Mapping[str, int | None]) -> Counter[str]:
    """How many mutants ended in which way."""
    return Counter(outcome(code) for code in result.values())


def outcome(code: int | None) -> str:
    """In one word or two."""
    return "not tried" if code is None else _OUTCOME.get(code, "killed")


def show(room: str, name: str) -> str:
    """A mutant, as a diff."""
    words = [_MUTMUT, "show", name]
    return subprocess.run(words, cwd=prepare(room), check=True, capture_output=True, text=True).stdout


def _generate(room: str, place: Path, jobs: int) -> None:
    """Make the mutants, and learn which test runs what.

    mutmut has no command for that alone: it does so before it finds that there is no mutant of the name it is given.
    """
    print(f"==> {room}: making mutants, and running {', '.join(ROOMS[room])} once", flush=True)
    log = place / "generated.log"
    with log.open("w") as file:
        words = [_MUTMUT, "run", "--max-children", str(jobs), _NOBODY]
        subprocess.run(words, cwd=place, check=False, stdout=file, stderr=subprocess.STDOUT)
    if not results(place) or not (place / "mutants" / "mutmut-stats.json").exists():
        raise Incomplete(f"the tests fail without any mutant: see {log}")


def _mutmut(place: Path, jobs: int, names: Sequence[str]) -> int:
    return subprocess.run([_MUTMUT, "run", "--max-children", str(jobs), *names], cwd=place, check=False).returncode
