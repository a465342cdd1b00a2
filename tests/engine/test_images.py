"""The engine images: what can be checked without building them, above all of the GPU image, whose base is far away."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from simulated_engine import SGLANG_VERSION

from .conftest import ENGINE_IMAGE

DOCKERFILES = ["Dockerfile", "Dockerfile.cpu", "Dockerfile.sim"]
LOCKS = ["requirements-cpu", "requirements-sim"]
ENTRYPOINT = "/usr/local/bin/heterollm-engine"


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", (ENGINE_IMAGE / name).read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def last(name: str, instruction: str) -> str:
    """The value of an instruction that counts."""
    return [value for word, value in instructions(name) if word == instruction][-1]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_base_is_pinned_and_can_be_replaced(name: str) -> None:
    assert re.fullmatch(r"BASE=[\w./-]+:v?\d[\w.-]*", last(name, "ARG"))
    assert last(name, "FROM") == "${BASE}"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_all_start_the_same_script_as_the_same_user(name: str) -> None:
    assert last(name, "ENTRYPOINT") == f'["{ENTRYPOINT}"]'
    assert ("COPY", f"--chmod=0755 entrypoint.sh {ENTRYPOINT}") in instructions(name)
    assert last(name, "USER") == "1000:1000"
    assert last(name, "EXPOSE") == "30000"
    assert not [rest for word, rest in instructions(name) if word in ("CMD", "ADD", "VOLUME")]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nothing_that_is_kept_needs_a_writable_root(name: str) -> None:
    settings = " ".join(value for word, value in instructions(name) if word == "ENV").split()
    assert "HOME=/tmp" in settings
    assert last(name, "WORKDIR") == "/tmp"


def test_all_speak_of_the_same_release() -> None:
    assert last("Dockerfile", "ARG") == f"BASE=lmsysorg/sglang:v{SGLANG_VERSION}"
    assert f"sglang=={SGLANG_VERSION}" in (ENGINE_IMAGE / "requirements-cpu.in").read_text().splitlines()
    assert f"sglang=={SGLANG_VERSION} \\" in (ENGINE_IMAGE / "requirements-cpu.txt").read_text().splitlines()


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_hashes(name: str) -> None:
    joined = (ENGINE_IMAGE / f"{name}.txt").read_text().replace("\\\n", "")
    packages = [line for line in joined.splitlines() if re.match(r"\w", line)]
    assert packages
    for line in packages:
        assert re.match(r"[\w.-]+==[\w.+-]+ ", line), line
        assert "--hash=sha256:" in line, line


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_wanted_is_locked(name: str) -> None:
    locked = (ENGINE_IMAGE / f"{name}.txt").read_text()
    wanted = [line.partition("=")[0] for line in (ENGINE_IMAGE / f"{name}.in").read_text().splitlines()]
    for package in [name for name in wanted if name and not name.startswith("#")]:
        assert re.search(rf"^{re.escape(package)}==", locked, re.MULTILINE), package


def start(folder: Path, script: str, *arguments: str, **environment: str) -> str:
    """Run the entry point with a python3 of our own; returns what that prints."""
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = subprocess.run(
        [ENGINE_IMAGE / "entrypoint.sh", *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_entry_point_hands_its_arguments_over_unchanged(tmp_path: Path) -> None:
    labels = '{"tier": "small tier"}'
    printed = start(tmp_path, """printf '%s\\n' "$@" """, "--extra-metric-labels", labels, "", HOME=str(tmp_path))
    assert printed.split("\n")[:-1] == ["-m", "sglang.launch_server", "--extra-metric-labels", labels, ""]


def test_the_entry_point_becomes_the_server(tmp_path: Path) -> None:
    # Were it a child, SIGTERM would end the shell and cut the drain.
    printed = start(tmp_path, "echo $PPID", HOME=str(tmp_path))
    assert int(printed) == os.getpid()


def test_every_cache_is_in_the_one_writable_directory(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    printed = start(tmp_path, "env", HOME=str(tmp_path), HETEROLLM_CACHE_DIR=str(cache), HF_HOME="/models/hub")
    settings = dict(line.split("=", 1) for line in printed.splitlines())
    assert cache.is_dir()
    assert settings["HF_HOME"] == "/models/hub", "what the pod sets stays"
    for name in ("XDG_CACHE_HOME", "SGLANG_CACHE_DIR", "TRITON_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"):
        assert Path(settings[name]).is_relative_to(cache), name
