"""Start the node's long-running programs inside the cluster's namespaces and cgroup."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.layout import Layout
from e2e.cluster.node.namespaces import Namespaces, inner_environment
from e2e.cluster.node.process import ProcessId

__all__ = ["Daemons", "recorded"]

_POLL_S = 0.05
_LOG_TAIL_LINES = 20


@dataclass(frozen=True)
class Daemons:
    """Starts programs and waits for what they bring about."""

    layout: Layout
    cgroup: CgroupTree
    namespaces: Namespaces

    def start(self, name: str, command: Sequence[str], inherit: Sequence[int] = ()) -> None:
        """Start a program that outlives this one; `inherit` are file descriptors that it keeps."""
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                self.namespaces.command(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=inner_environment(),
                start_new_session=True,
                pass_fds=inherit,
                preexec_fn=self.cgroup.join,
            )
        identity = ProcessId.of(process.pid)
        if identity is not None:
            _records(self.layout).mkdir(exist_ok=True)
            (_records(self.layout) / name).write_text(str(identity))

    def run(self, command: Sequence[str], stdin: BinaryIO | None = None) -> str:
        """Run a command inside, to its end, and return its standard output."""
        run = subprocess.run(
            self.namespaces.command(command),
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=inner_environment(),
            preexec_fn=self.cgroup.join,
        )
        if run.returncode != 0:
            raise NodeError(f"`{' '.join(command)}` failed with exit status {run.returncode}:\n{run.stderr.strip()}")
        return run.stdout

    def wait(self, name: str, what: str, done: Callable[[], bool], timeout_s: float) -> None:
        """Wait until something holds that the program `name` brings about; fail at once when the program ends."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if not recorded(self.layout).get(name, False):
                raise self._failure(name, f"{name} ended by itself")
            if time.monotonic() > deadline:
                raise self._failure(name, f"{what}: not after {timeout_s:.0f} s")
            time.sleep(_POLL_S)

    def _log(self, name: str) -> Path:
        return self.layout.logs / f"{name}.log"

    def _failure(self, name: str, what: str) -> NodeError:
        lines = self._log(name).read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return NodeError("\n".join([f"{what}; the end of {self._log(name)}:", *lines]))


def recorded(layout: Layout) -> dict[str, bool]:
    """Return the programs that were started, by name, and whether each still runs."""
    folder = _records(layout)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {file.name: ProcessId.parse(file.read_text()).running for file in files}


def _records(layout: Layout) -> Path:
    return layout.state / "processes"
