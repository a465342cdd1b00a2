"""A Kubernetes API server with its controllers, without nodes: for tests that need no running pods.

It is one unprivileged process. It ends with the process that started it, whatever happens to that one.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from e2e.cluster.build import COMPONENTS, ensure_binary

__all__ = ["ControlPlane", "ControlPlaneError", "add_parser"]

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_POLL_INTERVAL_S = 0.05
_LOG_TAIL_LINES = 30


class ControlPlaneError(RuntimeError):
    """The control plane did not start; the message ends with the last lines of its log."""


class ControlPlane:
    """A control plane whose data, keys, log and kubeconfig lie in one folder.

    Attributes
    ----------
    state_dir
        Where everything lies. Starting again with the same folder continues with its data, address and keys.
    kubeconfig
        The administrator's kubeconfig.
    log
        The log of all components.
    """

    def __init__(self, state_dir: Path, binary: Path, apiserver_args: Sequence[str] = ()) -> None:
        self.state_dir = state_dir
        self.kubeconfig = state_dir / "admin.kubeconfig"
        self.log = state_dir / "controlplane.log"
        self._binary = binary
        self._apiserver_args = tuple(apiserver_args)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, state_dir: Path, *, apiserver_args: Sequence[str] = ()) -> ControlPlane:
        """Build the binary if need be, start it on a free local port and return when it is ready.

        Parameters
        ----------
        state_dir
            A folder for data and keys, created if missing.
        apiserver_args
            Further kube-apiserver flags, such as `--audit-log-path=...`.
        """
        control_plane = cls(state_dir.absolute(), ensure_binary(COMPONENTS["controlplane"]), apiserver_args)
        control_plane.start_apiserver()
        return control_plane

    @property
    def pid(self) -> int | None:
        """The process id, None while stopped."""
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start_apiserver(self) -> None:
        """Start the stopped process (API server, storage and controllers) and wait until it is ready."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        command = [str(self._binary), "run", "--data-dir", str(self.state_dir)]
        command += ["--exit-with", str(os.getpid())]
        command += [f"--apiserver-arg={argument}" for argument in self._apiserver_args]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the test runner, which stops us in its own order.
                start_new_session=True,
            )
        try:
            self._wait_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """End the process and keep its data: in order, or (`kill`) like a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart_apiserver(self) -> None:
        """Stop the process and start it again with its data, on the same port."""
        self.stop_apiserver()
        self.start_apiserver()

    def stop(self) -> None:
        """End the process; nothing happens if it has ended."""
        self.stop_apiserver()

    def __enter__(self) -> ControlPlane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _ready_file(self) -> Path:
        return self.state_dir / "ready"

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the file that the process makes once /readyz succeeds and its controllers work."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not self._ready_file.exists():
            if process.poll() is not None:
                raise self._failure(f"the control plane ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"the control plane was not ready after {_READY_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_INTERVAL_S)

    def _failure(self, what: str) -> ControlPlaneError:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return ControlPlaneError("\n".join([f"{what}; the end of {self.log}:", *lines]))


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the `control-plane` subcommand."""
    parser = subparsers.add_parser("control-plane", help="run an API server without nodes, until Ctrl-C")
    parser.add_argument(
        "--state-dir", type=Path, default=Path(".state/control-plane"), help="data folder (default: %(default)s)"
    )
    parser.set_defaults(run=_main)


def _main(arguments: argparse.Namespace) -> int:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    started = time.monotonic()
    with ControlPlane.start(arguments.state_dir) as control_plane:
        print(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C ends it", flush=True)
        print(f"export KUBECONFIG={control_plane.kubeconfig}", flush=True)
        while not ended.wait(timeout=1):
            if not control_plane.running:
                print(f"it ended by itself: see {control_plane.log}", flush=True)
                return 1
    return 0
