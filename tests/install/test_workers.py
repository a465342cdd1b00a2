"""What tests share that there is only once is used by one of pytest's workers, and the others have work meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "node": ("e2e/scenarios/test_a.py", "e2e/scenarios/test_b.py", "tests/cluster/test_node.py"),
    "control plane": ("tests/apiserver/test_a.py", "tests/apiserver/test_b.py"),
    "first file": ("tests/core/test_a.py",),
    "second file": ("tests/core/test_b.py",),
}
TESTS = "import time, pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_it(n): time.sleep(0.05)\n"


def run(folder: Path, files: dict[str, str]) -> str:
    """The output of three workers that run these files under the repository's conftest.py."""
    shutil.copy(ROOT / "conftest.py", folder)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    options = [
        f"--rootdir={folder}",
        "-c",
        os.devnull,
        "--import-mode=importlib",
        "-v",
        "-n3",
        "--no-loadscope-reorder",
    ]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


def test_what_shares_something_stays_together(tmp_path: Path) -> None:
    output = run(tmp_path, {file: TESTS for files in FILES.values() for file in files})
    ran = re.findall(r"\[(gw\d)\] .* PASSED (\S+)::test_it", output)
    assert len(ran) == 8 * 7, output
    workers = {group: {worker for worker, file in ran if file in files} for group, files in FILES.items()}
    assert {len(used) for used in workers.values()} == {1}, workers
    assert len(set.union(*workers.values())) == 3, workers


def test_a_test_that_needs_the_node_elsewhere_is_refused(tmp_path: Path) -> None:
    output = run(tmp_path, {"tests/core/test_a.py": "import pytest\n@pytest.mark.node\ndef test_it(): ...\n"})
    assert "tests/core/test_a.py::test_it needs the node" in output
