"""The router's module: its own tests, no warnings, and a library that is built once and is always of these sources."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.cluster.router_module import MODULE, ModuleError, ensure_module
from e2e.cluster.rust import RustError, find_rust

_MANIFEST = """\
[package]
name = "heterollm-router"
version = "0.1.0"
edition = "2021"

[lib]
name = "heterollm_router"
crate-type = ["cdylib"]
"""
_LOCK = """\
version = 3

[[package]]
name = "heterollm-router"
version = "0.1.0"
"""


@pytest.mark.parametrize("command", ["check", "test"])
def test_its_own_tests_pass_and_the_compiler_has_nothing_to_say(tmp_path: Path, command: str) -> None:
    toolchain = find_rust(print)
    words = [toolchain.cargo, command, "--offline", "--locked", "--quiet", "--target-dir", str(tmp_path)]
    env = {**toolchain.environment, "RUSTFLAGS": "-Dwarnings"}
    run = subprocess.run(
        words, cwd=MODULE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one empty file, and an empty cache."""
    monkeypatch.setenv("HETEROLLM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "package"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(_MANIFEST)
    (folder / "Cargo.lock").write_text(_LOCK)
    (folder / "src" / "lib.rs").write_text("")
    return folder


def test_it_is_built_once_however_many_ask_and_again_when_a_source_changes(package: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor() as several:
        first, *others = several.map(lambda _: ensure_module(said.append, package), range(3))
    assert first.is_file()
    assert set(others) == {first}
    assert sum(line.startswith("built") for line in said) == 1
    (package / "src" / "lib.rs").write_text("// Another.\n")
    assert ensure_module(said.append, package) != first
    assert sorted(path.name for path in package.iterdir()) == ["Cargo.lock", "Cargo.toml", "src"]


def test_what_does_not_compile_says_why_and_leaves_nothing(package: Path, tmp_path: Path) -> None:
    (package / "src" / "lib.rs").write_text("fn wrong() -> u8 { nowhere }\n")
    with pytest.raises(ModuleError, match="cannot find value `nowhere`"):
        ensure_module(print, package)
    assert [path.name for path in (tmp_path / "cache" / "router-module").iterdir()] == ["build.lock"]


def test_where_there_is_no_rust_and_nothing_to_install_it_with_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETEROLLM_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(RustError, match=r"needs cargo and rustc 1\.63 or newer: please install cargo"):
        find_rust(print)


def test_each_room_of_the_module_uses_only_those_below() -> None:
    order = ["protocol", "score", "stream", "filters", "abi"]
    source = MODULE / "src"
    assert {path.name for path in source.iterdir()} == {"lib.rs", *order}
    for file in source.rglob("*/*.rs"):
        room = file.relative_to(source).parts[0]
        used = set(re.findall(r"\bcrate::(\w+)", file.read_text(encoding="utf-8")))
        assert used <= set(order[: order.index(room) + 1]), file
