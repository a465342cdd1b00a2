"""What makes the Go programs be built again, with a stand-in for the Go toolchain."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.cluster.build import BuildError, Component, build_key, ensure_binaries, ensure_binary, explain_failure
from e2e.cluster.toolchain import parse_version, select_toolchain

_FAKE_GO = """#!/bin/sh
case "$*" in
  "env GOVERSION") echo go{version} ;;
  "env GOCACHE") echo {folder}/gocache ;;
  build*)
    echo run >> {folder}/builds
    {build}
    while [ "$1" != -o ]; do shift; done
    folder=$2; shift 2
    for package; do echo binary > "$folder/$(basename "$package")"; done ;;
esac
"""

FakeGo = Callable[..., Path]


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """Put a `go` command first in PATH; returns the file with a line per build."""

    def install(version: str = "1.99.0", build: str = ":") -> Path:
        command = tmp_path / "bin" / "go"
        command.parent.mkdir(exist_ok=True)
        command.write_text(_FAKE_GO.format(version=version, folder=tmp_path, build=build))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "builds"

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HETEROLLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("e2e.cluster.build._COLD_BUILD_BYTES", 0)
    return install


@pytest.fixture
def component(tmp_path: Path) -> Component:
    """A Go program of two folders."""
    module = tmp_path / "module"
    for name, content in {
        "go.mod": "module m\n\ngo 1.90.0\n\nrequire (\n\tk8s.io/kubernetes v1.2.3\n)\n",
        "go.sum": "",
        "cmd/program/main.go": "package main",
        "cmd/program/main_test.go": "package main",
        "internal/part/part.go": "package part",
        "cmd/other/main.go": "package main",
    }.items():
        path = module / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Component("program", module, "cmd/program", ("internal",))


def silent(_line: str) -> None:
    """Report nothing."""


def test_an_unchanged_program_is_built_once(fake_go: FakeGo, component: Component) -> None:
    builds = fake_go()
    first = ensure_binary(component, silent)
    assert ensure_binary(component, silent) == first
    assert first.read_text() == "binary\n"
    assert len(builds.read_text().splitlines()) == 1


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "cmd/program/main.go", "internal/part/part.go"])
def test_a_change_of_what_goes_into_the_program_changes_the_key(component: Component, file: str) -> None:
    before = build_key(component, "1.99.0", "")
    path = component.module / file
    path.write_text(path.read_text() + "\n")
    assert build_key(component, "1.99.0", "") != before


@pytest.mark.parametrize("file", ["cmd/program/main_test.go", "cmd/other/main.go"])
def test_a_change_elsewhere_keeps_the_key(component: Component, file: str) -> None:
    before = build_key(component, "1.99.0", "")
    (component.module / file).write_text("package other")
    assert build_key(component, "1.99.0", "") == before


def test_a_moved_checkout_keeps_the_key(component: Component, tmp_path: Path) -> None:
    moved = Component(
        component.name, component.module.rename(tmp_path / "elsewhere"), component.package, component.libraries
    )
    again = build_key(moved, "1.99.0", "")
    moved.module.rename(component.module)
    assert build_key(component, "1.99.0", "") == again


def test_toolchain_and_flags_are_part_of_the_key(component: Component) -> None:
    keys = {build_key(component, version, flags) for version in ("1.1", "1.2") for flags in ("-s", "-w")}
    assert len(keys) == 4


def test_another_toolchain_builds_again(fake_go: FakeGo, component: Component) -> None:
    builds = fake_go()
    first = ensure_binary(component, silent)
    fake_go(version="1.99.1")
    assert ensure_binary(component, silent) != first
    assert len(builds.read_text().splitlines()) == 2


def test_two_builds_at_once_compile_once(fake_go: FakeGo, component: Component) -> None:
    builds = fake_go(build="sleep 0.2")
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_binary(component, silent))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len(builds.read_text().splitlines()) == 1


def test_programs_of_one_module_are_built_by_one_command(fake_go: FakeGo, component: Component) -> None:
    builds = fake_go()
    other = Component("other", component.module, "cmd/other")
    found = ensure_binaries([component, other], silent)
    assert {name: path.name for name, path in found.items()} == {"program": "program", "other": "other"}
    assert all(path.exists() for path in found.values())
    assert len(builds.read_text().splitlines()) == 1


def test_only_programs_that_are_missing_are_built(fake_go: FakeGo, component: Component) -> None:
    fake_go()
    first = ensure_binary(component, silent)
    built = first.stat().st_mtime_ns
    both = ensure_binaries([component, Component("other", component.module, "cmd/other")], silent)
    assert both["program"] == first
    assert first.stat().st_mtime_ns == built
    assert both["other"].exists()


def test_a_failed_build_leaves_nothing_and_shows_the_log(fake_go: FakeGo, component: Component, tmp_path: Path) -> None:
    fake_go(build="echo undefined: x; exit 1")
    with pytest.raises(BuildError, match="undefined: x"):
        ensure_binary(component, silent)
    assert list((tmp_path / "cache" / "cluster" / "program").iterdir()) == []
    fake_go()
    assert ensure_binary(component, silent).exists()


def test_too_little_disk_is_refused_before_the_build(
    fake_go: FakeGo, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = fake_go()
    monkeypatch.setattr("e2e.cluster.build._COLD_BUILD_BYTES", 1 << 60)
    with pytest.raises(BuildError, match="GiB free"):
        ensure_binary(component, silent)
    assert not builds.exists()


@pytest.mark.parametrize(
    ("log", "remedy"),
    [
        ("write /x: no space left on device", "disk is full"),
        ("dial tcp: lookup proxy: no such host", "GOPROXY"),
    ],
)
def test_common_failures_name_a_remedy(log: str, remedy: str) -> None:
    assert remedy in explain_failure("program", log)


def test_a_new_enough_system_toolchain_is_used(fake_go: FakeGo, tmp_path: Path) -> None:
    fake_go(version="1.90.0")
    assert select_toolchain("1.90.0").system_go == tmp_path / "bin" / "go"


def test_an_old_system_toolchain_is_passed_over(fake_go: FakeGo) -> None:
    fake_go(version="1.9.7")
    assert select_toolchain("1.26.0").system_go is None


def test_versions_compare_as_numbers() -> None:
    assert parse_version("1.9.7") < parse_version("1.26") < parse_version("1.26.8") < parse_version("1.27rc1")
