"""The checklists of docs/how-to-add.md name files that exist, and those of an accelerator and a signal are enough."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from heterollm_controllers.api.crd import custom_resource_definition
from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.sizing import accelerators
from heterollm_operator.prometheus import queries
from tests.docs.repository import ROOT, prose

_PAGE = prose(ROOT / "docs" / "how-to-add.md")
_SOURCES = ("controllers", "operator")
_SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", _PAGE, re.DOTALL | re.MULTILINE))


def _code(heading: str) -> list[tuple[bool, str]]:
    """The files of a checklist's code: whether each is new, and its path."""
    _, _, code = _SECTIONS[heading].partition("**Code**")
    items = re.findall(r"^- \[ \] (\*New\* )?`([^`]+)`", code.partition("**Then**")[0], re.MULTILINE)
    return [(bool(new), path) for new, path in items]


def _paths() -> list[tuple[bool, str]]:
    """Every path of the page."""
    found = re.findall(r"(\*New\* )?`([\w.-]+/[\w./-]+|[\w-]+\.(?:md|toml))`", _PAGE)
    return [(bool(new), path) for new, path in found]


def test_every_file_named_exists() -> None:
    assert len(_paths()) > 50
    # The rooms to come are named by new files in them.
    missing = [path for new, path in _paths() if not new and not (ROOT / path).exists()]
    assert missing == []


def test_new_files_do_not_exist() -> None:
    assert [path for new, path in _paths() if new and (ROOT / path).exists()] == []


def test_the_table_counts_the_files() -> None:
    rows = re.findall(r"^\| \[[^]]+\]\(#([^)]+)\) \| (\d+) \|", _PAGE, re.MULTILINE)
    counted = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-"): len(_code(heading)) for heading in _SECTIONS}
    assert {anchor: int(count) for anchor, count in rows} == counted


@pytest.mark.parametrize("words", [ConditionType, Reason, PodSignal, TierSignal, ClusterSignal])
def test_a_word_is_written_once(words: type[StrEnum]) -> None:
    """So that adding one is adding it in one place. (Words like "age" are other things, too.)"""
    home = _relative(inspect.getfile(words))
    # PureLarge is a state of the fallback, too.
    distinct = {word.value for word in words if re.search(r"[a-z][A-Z]", word.value)} - {"PureLarge"}
    elsewhere = {
        (str(path.relative_to(ROOT)), literal)
        for folder in _SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for literal in _literals(path) & distinct
        if str(path.relative_to(ROOT)) != home
    }
    assert elsewhere == set()


def test_an_accelerator_is_one_entry(tmp_path: Path) -> None:
    ((_, catalogue),) = _code("An accelerator")
    copy = _copy(tmp_path)
    file = copy / catalogue
    written = json.loads(file.read_text())
    written["accelerators"]["X900"] = {**written["accelerators"]["H100"], "memoryMiB": 200_000}
    file.write_text(json.dumps(written))
    told = _run(copy, f"from {accelerators.__name__} import accelerator; print(accelerator('X900').memory_mib)")
    assert told == "200000"


def test_a_signal_that_is_only_seen_is_two_entries(tmp_path: Path) -> None:
    (_, vocabulary), (_, asked), *_ = _code("A scaling signal")
    assert vocabulary == _relative(inspect.getfile(PodSignal))
    assert asked == _relative(inspect.getfile(queries))
    copy = _copy(tmp_path)
    _insert(copy / vocabulary, r'^    GPU_USE = "gpuUse"$', '    PREFILLING = "prefilling"')
    _insert(
        copy / asked, r"^        PodSignal\.RUNNING: .+$", '        PodSignal.PREFILLING: f"max by ({_ENGINE}) (up)",'
    )
    users = _run(
        copy,
        f"import json; from {custom_resource_definition.__module__} import custom_resource_definition;"
        "print(json.dumps(custom_resource_definition()))",
    )
    sent = _run(
        copy,
        f"from {queries.__name__} import *; from {PodSignal.__module__} import PodSignal;"
        "print(now(Selection(60, 15))[PodSignal.PREFILLING].labels)",
    )
    assert "'prefilling'" in users, "users can replace it by a query of theirs"
    assert sent == "('pod',)"


def _relative(path: str) -> str:
    return str(Path(path).resolve().relative_to(ROOT))


@cache
def _literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in found if isinstance(value, str)}


def _copy(folder: Path) -> Path:
    for name in _SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _insert(file: Path, before: str, line: str) -> None:
    text = file.read_text(encoding="utf-8")
    changed, times = re.subn(before, lambda found: f"{line}\n{found[0]}", text, count=1, flags=re.MULTILINE)
    assert times == 1, f"{file} has no line {before}"
    file.write_text(changed, encoding="utf-8")


def _run(copy: Path, program: str) -> str:
    path = os.pathsep.join(str(copy / name) for name in _SOURCES)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
