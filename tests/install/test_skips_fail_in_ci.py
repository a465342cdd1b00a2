"""A test that is skipped for want of a tool passes on a desk, and fails in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SKIPS = {
    "mark": "@pytest.mark.skipif(True, reason='not installed: x')\ndef test_it(): ...",
    "call": "def test_it(): pytest.skip('not installed: x')",
    "fixture": "@pytest.fixture\ndef x(): pytest.skip('not installed: x')\ndef test_it(x): ...",
    "module": "pytest.skip('not installed: x', allow_module_level=True)",
    "import": "pytest.importorskip('no_such_module_x')",
}
XFAIL = "@pytest.mark.xfail\ndef test_it(): assert False"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skips")
    for name, code in SKIPS.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{code}\n")
    (folder / "test_expected.py").write_text(f"import pytest\n{XFAIL}\n")
    return folder


def run(folder: Path, ci: dict[str, str], workers: int = 0) -> str:
    """The short summary of a run, with or without `CI` in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ci
    environment["PYTHONPATH"] = str(ROOT)
    options = [f"--rootdir={folder}", "-c", os.devnull, "-p", "conftest", f"-n{workers}"]
    options += ["-ra", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout[done.stdout.index("short test summary") :]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_skip_fails_in_ci_and_says_why(folder: Path, workers: int) -> None:
    found = run(folder, {"CI": "true"}, workers)
    assert found.count("skipped, which CI does not take") == len(SKIPS), found
    assert "1 xfailed" in found, "an expected failure is no skip"
    assert " skipped" not in found.splitlines()[-1]


def test_a_skip_passes_on_a_desk(folder: Path) -> None:
    found = run(folder, {})
    assert f"{len(SKIPS)} skipped, 1 xfailed" in found, found
