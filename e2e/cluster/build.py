"""Build the embedded cluster's Go programs, once per content of their sources.

A binary lies at `<cache>/cluster/<component>/<key>/<component>`, where the key covers everything that goes into it. It
appears there in one step, so whoever finds it can use it.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir, locked, print_report
from e2e.cluster.toolchain import Toolchain, go_environment, select_toolchain

__all__ = ["COMPONENTS", "BuildError", "Component", "add_parser", "build_key", "ensure_binaries", "ensure_binary"]

_HERE = Path(__file__).parent
_PROGRESS_INTERVAL_S = 5.0
# A cold build of everything leaves this much in Go's caches; running out of disk half-way wastes minutes.
_COLD_BUILD_BYTES = 6 * 1024**3
# At Go's own setting, 100, a tenth of the compiler's CPU time and more is garbage collection. It builds the same.
_COMPILER_GC = "400"


class BuildError(RuntimeError):
    """A program could not be built; the message says why and what to do."""


@dataclass(frozen=True)
class Component:
    """A Go program: its module folder, its main package and the further source folders that go into it.

    Go calls the program like the folder of its package (or the module); `name` must be that.
    """

    name: str
    module: Path
    package: str
    libraries: tuple[str, ...] = ()

    @property
    def source_folders(self) -> tuple[Path, ...]:
        """The folders whose Go files are part of the program."""
        return tuple(self.module / folder for folder in (self.package, *self.libraries))


COMPONENTS: dict[str, Component] = {
    component.name: component
    for component in (
        Component("controlplane", _HERE / "go", "cmd/controlplane", ("internal",)),
        Component("kubelet", _HERE / "go", "cmd/kubelet"),
        Component("kube-proxy", _HERE / "go", "cmd/kube-proxy"),
        Component("coredns", _HERE / "go", "cmd/coredns"),
        Component("pause", _HERE / "go", "cmd/pause"),
        Component("deviceplugin", _HERE / "go", "cmd/deviceplugin"),
        Component("fakenodes", _HERE / "go", "cmd/fakenodes"),
    )
}


@dataclass(frozen=True)
class _Target:
    """A program to be there, and what it is built with."""

    component: Component
    toolchain: Toolchain
    flags: str

    @classmethod
    def of(cls, component: Component) -> _Target:
        module_file = (component.module / "go.mod").read_text()
        return cls(component, select_toolchain(_directive(module_file, "go")), _link_flags(module_file))

    @cached_property
    def binary(self) -> Path:
        key = build_key(self.component, self.toolchain.version, self.flags)
        return cache_dir() / "cluster" / self.component.name / key / self.component.name


def ensure_binary(component: Component, report: Report = print_report) -> Path:
    """Return the path of a component's binary, building it first unless it is in the cache."""
    return ensure_binaries([component], report)[component.name]


def ensure_binaries(components: Iterable[Component], report: Report = print_report) -> dict[str, Path]:
    """Return the paths of binaries by their names, building first those that are not in the cache."""
    targets = [_Target.of(component) for component in components]
    if not all(target.binary.exists() for target in targets):
        # One lock for all builds: two at once would compile the same packages twice.
        with locked(cache_dir() / "build.lock", report):
            for module in dict.fromkeys(target.component.module for target in targets):
                missing = [item for item in targets if item.component.module == module and not item.binary.exists()]
                if missing:
                    _build(missing, report)
    return {target.component.name: target.binary for target in targets}


def build_key(component: Component, go_version: str, flags: str) -> str:
    """Return the hash of everything that goes into a binary: sources, pinned modules, toolchain, flags, machine."""
    digest = hashlib.sha256()
    for part in (component.name, go_version, flags, platform.machine()):
        digest.update(f"{part}\0".encode())
    for path in _source_files(component):
        digest.update(f"{path.relative_to(component.module)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _source_files(component: Component) -> list[Path]:
    sources = (path for folder in component.source_folders for path in folder.rglob("*.go"))
    built = (path for path in sources if not path.name.endswith("_test.go"))
    return [component.module / "go.mod", component.module / "go.sum", *sorted(built)]


def _directive(module_file: str, name: str) -> str:
    match = re.search(rf"^{name} (\S+)", module_file, re.MULTILINE)
    if match is None:
        raise BuildError(f"go.mod has no {name} line")
    return match.group(1)


def _link_flags(module_file: str) -> str:
    """Return the linker's flags: no debugging tables, and the version that Kubernetes programs report."""
    flags = "-s -w"
    kubernetes = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", module_file, re.MULTILINE)
    if kubernetes is not None:
        flags += f" -X k8s.io/component-base/version.gitVersion={kubernetes.group(1)}"
    return flags


def _build(targets: Sequence[_Target], report: Report) -> None:
    """Build programs of one module by one command, which links some of them while it compiles for others."""
    first = targets[0]
    go = first.toolchain.executable(report)
    _check_disk(go)
    for target in targets:
        target.binary.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir() / "cluster", prefix=".build-") as temporary:
        output = Path(temporary) / "out"
        output.mkdir()
        command: list[str | Path] = [go, "build", "-v", "-trimpath", "-buildvcs=false", f"-ldflags={first.flags}"]
        command += ["-o", f"{output}/", *(f"./{target.component.package}" for target in targets)]
        _run([target.component for target in targets], command, Path(temporary) / "log", report)
        for target in targets:
            folder = Path(temporary) / target.component.name
            folder.mkdir()
            (output / target.component.name).rename(folder / target.component.name)
            folder.rename(target.binary.parent)


def _run(components: Sequence[Component], command: list[str | Path], log: Path, report: Report) -> None:
    """Run the build, with a line of progress every few seconds."""
    started = time.monotonic()
    names = ", ".join(component.name for component in components)
    report(f"building {names} (minutes the first time, then seconds)")
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=components[0].module,
            env={"GOGC": _COMPILER_GC, **go_environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while (code := _wait(process)) is None:
            report(f"building Go programs: {time.monotonic() - started:.0f} s, {_progress(log)}")
    except BaseException:
        # Interrupted: nobody is left to wait for it.
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise BuildError(explain_failure(names, log.read_text()))
    report(f"built {names} in {time.monotonic() - started:.0f} s")


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=_PROGRESS_INTERVAL_S)
    except subprocess.TimeoutExpired:
        return None


def _progress(log: Path) -> str:
    """Say how far a build is: `go build -v` writes a line for each module fetched and each package compiled."""
    lines = log.read_text().splitlines()
    if not lines:
        return "checking what is compiled already"
    if lines[-1].startswith("go: downloading "):
        return lines[-1].removeprefix("go: ")
    compiled = sum(1 for line in lines if not line.startswith("go: "))
    return f"{compiled} packages compiled, now {lines[-1]}"


def explain_failure(programs: str, log: str) -> str:
    """Return what to tell the user about a failed build: its last lines and, for common causes, a remedy."""
    tail = "\n".join(log.splitlines()[-20:])
    message = f"building {programs} failed:\n{tail}"
    if "no space left on device" in log:
        return f"{message}\nThe disk is full. `go clean -cache -modcache` frees what Go has stored."
    if any(sign in log for sign in ("dial tcp", "no such host", "i/o timeout", "TLS handshake timeout")):
        return f"{message}\nThe Go module proxy could not be reached; set GOPROXY to a mirror if there is one."
    return message


def _check_disk(go: Path) -> None:
    """Refuse a build that would fill the disk: a folder with a warm cache needs little, a cold one gigabytes."""
    run = subprocess.run([go, "env", "GOCACHE"], env=go_environment(), capture_output=True, text=True, check=True)
    folder = Path(run.stdout.strip())
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < _COLD_BUILD_BYTES:
        raise BuildError(
            f"{free / 1024**3:.1f} GiB free where Go keeps its build cache ({folder}), "
            f"but a first build may need {_COLD_BUILD_BYTES / 1024**3:.0f} GiB: free some space or set GOCACHE"
        )


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the `build` subcommand."""
    parser = subparsers.add_parser("build", help="build the Go programs (cached)")
    parser.add_argument("component", nargs="*", type=_component, help=f"default: all of {', '.join(COMPONENTS)}")
    parser.set_defaults(run=_main)


def _component(name: str) -> str:
    # Not argparse's own choices: Python 3.11 looks for the empty list among them when no component is named.
    if name not in COMPONENTS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(COMPONENTS)}")
    return name


def _main(arguments: argparse.Namespace) -> int:
    binaries = ensure_binaries(COMPONENTS[name] for name in arguments.component or COMPONENTS)
    for name, binary in binaries.items():
        print(f"{name}: {binary}")
    return 0
