"""Record what the real SGLang answers, or check that it still answers so: record.py resolver|memory|flags [--check].

Needs no package. Finds (or first installs) a Python with SGLang through environment.sh, asks it in processes of one
pretended GPU each, and writes the recorded file, or shows what differs from it and exits with 1.
"""

from __future__ import annotations

import argparse
import collections
import difflib
import functools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import CONFIGS, Case, launches, layouts
from pretend import GPUS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RELEASE = "0.5.23"
CATALOGUED = ("0.5.23", "0.5.19")
RECORDED = ROOT / "tests/sizing/data"
SHARE = 50
"""Cases of one process: few enough to keep every core busy to the end, many enough to be worth its start."""

CATALOGUES = ROOT / "controllers/heterollm_controllers/sglang/flags/data"


def python(release: str) -> str:
    """The start of a command line that runs Python with that SGLang, installed if need be."""
    return subprocess.run([HERE / "environment.sh", release], stdout=subprocess.PIPE, text=True, check=True).stdout


def run(release: str, script: str, *arguments: str, given: str = "") -> str:
    """The standard output of one of the scripts here, run by a Python that has that SGLang."""
    # Not this process's PYTHONPATH: the project's folders must not be in the way of SGLang's.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [*shlex.split(python(release)), str(HERE / script), *arguments]
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return done.stdout


def asked(script: str, cases: list[Case]) -> list[dict[str, Any]]:
    """Each case with its answer, sorted."""
    by_gpu: dict[str, list[Case]] = collections.defaultdict(list)
    for case in cases:
        by_gpu[case.gpu].append(case)
    shares = [group[first : first + SHARE] for group in by_gpu.values() for first in range(0, len(group), SHARE)]

    def ask(share: list[Case]) -> list[dict[str, Any]]:
        answers = json.loads(run(RELEASE, script, share[0].gpu, given=json.dumps([asdict(case) for case in share])))
        return [asdict(case) | answer for case, answer in zip(share, answers, strict=True)]

    python(RELEASE)  # installs it before two threads would
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = [answer for answers in pool.map(ask, shares) for answer in answers]
    return sorted(found, key=lambda answer: Case(answer["model"], answer["gpu"], answer["flags"]).key)


def document(script: str, cases: list[Case]) -> str:
    """The recorded file, one case a line: its input in full, and the values that are not the usual ones."""
    answers = asked(script, cases)
    usual = _usual([answer["resolved"] for answer in answers if "resolved" in answer])
    for answer in answers:
        if "resolved" in answer:
            answer["resolved"] = {k: v for k, v in answer["resolved"].items() if k not in usual or v != usual[k]}
    used = {case.model for case in cases}
    gpus = {name: {"memory_mib": GPUS[name].memory_mib} for name in sorted({case.gpu for case in cases})}
    head = {"release": RELEASE, "gpus": gpus, "usual": usual}
    members = [f"{json.dumps(name)}:{_compact(value)}" for name, value in head.items()]
    models = [f"{json.dumps(model)}:{_compact(CONFIGS[model])}" for model in sorted(used)]
    members += ['"models":{\n' + ",\n".join(models) + "\n}"]
    members += ['"cases":[\n' + ",\n".join(map(_compact, answers)) + "\n]"]
    return "{" + ",\n".join(members) + "}\n"


def _usual(resolved: list[dict[str, Any]]) -> dict[str, Any]:
    """The values that at least a third of the cases share; the file leaves them out there."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for values in resolved:
        for name, value in values.items():
            counts[name][json.dumps(value)] += 1
    most = {name: count.most_common(1)[0] for name, count in sorted(counts.items())}
    return {name: json.loads(value) for name, (value, times) in most.items() if times * 3 >= len(resolved)}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def files(what: str) -> dict[Path, Callable[[], str]]:
    """The files of one kind and how each is made."""
    if what == "flags":
        return {
            CATALOGUES / f"sglang-{release}.json": functools.partial(run, release, "flags.py", release)
            for release in CATALOGUED
        }
    if what == "resolver":
        return {RECORDED / "oracle-resolver.json": lambda: document("resolve.py", launches())}
    return {RECORDED / "oracle-memory.json": lambda: document("memory.py", layouts())}


def check(path: Path, found: str) -> bool:
    """Whether the file holds just this; says what differs if not."""
    recorded = path.read_text() if path.exists() else ""
    name = str(path.relative_to(ROOT))
    lines = difflib.unified_diff(recorded.splitlines(), found.splitlines(), name, "SGLang now", n=0, lineterm="")
    differences = list(lines)
    print("\n".join(differences) if differences else f"{name}: SGLang answers the same")
    return not differences


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", nargs="+", choices=("flags", "resolver", "memory"))
    parser.add_argument("--check", action="store_true", help="compare with the recorded files instead of writing them")
    options = parser.parse_args()
    same = True
    for path, make in (pair for what in options.what for pair in files(what).items()):
        if options.check:
            same = check(path, make()) and same
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make())
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1024:.0f} KiB")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
