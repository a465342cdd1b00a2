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
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir, locked, print_report
from e2e.cluster.toolchain import Toolchain, go_environment, select_toolchain

__all__ = ["COMPONENTS", "BuildError", "Component", "add_parser", "build_key", "ensure_binary"]

_HERE = Path(__file__).parent
_PROGRESS_INTERVAL_S = 5.0
# A cold build of everything leaves this much in Go's caches; running out of disk half-way wastes minutes.
_COLD_BUILD_BYTES = 6 * 1024**3


class BuildError(RuntimeError):
    """A program could not be built; the message says why and what to do."""


@dataclass(frozen=True)
class Component:
    """A Go program: its module folder, its main package and the further source folders that go into it."""

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
        Component("coredns", _HERE / "coredns", "."),
        Component("pause", _HERE / "go", "cmd/pause"),
        Component("deviceplugin", _HERE / "go", "cmd/deviceplugin"),
        Component("fakenodes", _HERE / "go", "cmd/fakenodes"),
    )
}


def ensure_binary(component: Component, report: Report = print_report) -> Path:
    """Return the path of a component's binary, building it first unless it is in the cache."""
    module_file = (component.module / "go.mod").read_text()
    toolchain = select_toolchain(_directive(module_file, "go"))
    flags = _link_flags(module_file)
    folder = cache_dir() / "cluster" / component.name
    binary = folder / build_key(component, toolchain.version, flags) / component.name
    if binary.exists():
        return binary
    # One lock for all builds: two at once would compile the same packages twice.
    with locked(cache_dir() / "build.lock", report):
        if not binary.exists():
            _build(component, toolchain, flags, binary, report)
    return binary


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


def _build(component: Component, toolchain: Toolchain, flags: str, binary: Path, report: Report) -> None:
    go = toolchain.executable(report)
    _check_disk(go)
    binary.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent.parent, prefix=".build-") as temporary:
        output = Path(temporary) / "out"
        output.mkdir()
        command: list[str | Path] = [go, "build", "-v", "-trimpath", "-buildvcs=false", f"-ldflags={flags}"]
        command += ["-o", output / component.name, f"./{component.package}"]
        _run(component, command, Path(temporary) / "log", report)
        output.rename(binary.parent)


def _run(component: Component, command: list[str | Path], log: Path, report: Report) -> None:
    """Run the build, with a line of progress every few seconds."""
    started = time.monotonic()
    report(f"building {component.name} (minutes the first time, then seconds)")
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=component.module, env=go_environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        while (code := _wait(process)) is None:
            report(f"building {component.name}: {time.monotonic() - started:.0f} s, {_progress(log)}")
    except BaseException:
        # Interrupted: nobody is left to wait for it.
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise BuildError(explain_failure(component.name, log.read_text()))
    report(f"built {component.name} in {time.monotonic() - started:.0f} s")


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


def explain_failure(component: str, log: str) -> str:
    """Return what to tell the user about a failed build: its last lines and, for common causes, a remedy."""
    tail = "\n".join(log.splitlines()[-20:])
    message = f"building {component} failed:\n{tail}"
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
    for name in arguments.component or COMPONENTS:
        print(f"{name}: {ensure_binary(COMPONENTS[name])}")
    return 0
