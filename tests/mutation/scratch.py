"""A copy of the repository in which mutmut may write, one for every folder of the core.

mutmut imports what it changes from `src/`, so the core lies there. What is remembered between runs lies in the copy:
a killed mutant stays killed while the core is the same; one that survived is tried again once a test has changed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from tests.mutation.rooms import CORE, LEFT_OUT, ROOMS

__all__ = ["SCRATCH", "prepare", "results"]

_ROOT = Path(__file__).parents[2]
SCRATCH = _ROOT / ".mutants"
_SOURCE = f"controllers/{CORE}"
_KILLED = (1, 3)
"""Exit codes of pytest by which mutmut calls a mutant killed."""


def prepare(room: str) -> Path:
    """The up-to-date copy for one folder of the core; what earlier runs found is kept as far as it still holds."""
    place = SCRATCH / room
    files = _files()
    core = _fingerprint([file for file in files if file.startswith(_SOURCE)])
    rest = _fingerprint([file for file in files if not file.startswith(_SOURCE)])
    if _read(place / "core.sha256") != core:
        shutil.rmtree(place, ignore_errors=True)
    if _read(place / "rest.sha256") != rest:
        _copy(files, place)
        _configure(place, room, sorted({file.split("/")[0] for file in files} - {"controllers", "pyproject.toml"}))
        _forget_survivors(place)
        (place / "core.sha256").write_text(core)
        (place / "rest.sha256").write_text(rest)
    return place


def results(place: Path) -> dict[str, int | None]:
    """How pytest ended for each mutant; None for one that was not run."""
    found: dict[str, int | None] = {}
    for file in sorted(place.glob("mutants/**/*.meta")):
        found |= json.loads(file.read_text())["exit_code_by_key"]
    return found


def _files() -> list[str]:
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=_ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(file for file in listed if (_ROOT / file).is_file())


def _fingerprint(files: list[str]) -> str:
    digest = sha256()
    for file in files:
        digest.update(f"{file}\n".encode() + (_ROOT / file).read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _copy(files: list[str], place: Path) -> None:
    """Write the repository's files, and take away those that are no more; mutmut's own stay."""
    for old in (*place.glob("*"), *place.glob("mutants/*")):
        if old.name not in ("mutants", "src", "mutmut-stats.json"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for file in files:
        target = place / re.sub("^controllers/", "src/", file)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_ROOT / file, target)


def _configure(place: Path, room: str, others: list[str]) -> None:
    """Tell mutmut what to change and what to run; tell pytest where the core is."""
    source = f"src/{CORE}"
    settings = {
        "source_paths": [source],
        "only_mutate": [f"{source}/{room}/*"],
        # An assert of ours tells the type checker what cannot be.
        "do_not_mutate_patterns": [r"^\s*assert "],
        "also_copy": others,
        "pytest_add_cli_args": ["-p", "tests.mutation.profile", "-m", "not apiserver and not node"]
        + [f"--deselect=tests/{path}" for path in LEFT_OUT],
        "pytest_add_cli_args_test_selection": [f"tests/{path}" for path in ROOMS[room]],
        "timeout_constant": 3.0,
        "timeout_multiplier": 10.0,
        # Forked before any test has run: what the code caches is of no mutant.
        "process_isolation": "forkserver",
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    pyproject = place / "pyproject.toml"
    there = re.sub('(?m)^(pythonpath = .*)"controllers"', r'\1"src"', pyproject.read_text())
    pyproject.write_text("\n".join([there, "[tool.mutmut]", *lines, ""]))


def _forget_survivors(place: Path) -> None:
    for file in place.glob("mutants/**/*.meta"):
        meta = json.loads(file.read_text())
        codes = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {name: code if code in _KILLED else None for name, code in codes.items()}
        file.write_text(json.dumps(meta))
