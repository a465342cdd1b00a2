"""Run the full cluster mode's commands, and kubectl on it, as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.node.layout import Layout

__all__ = ["ClusterUser"]

_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class ClusterUser:
    """A user of the cluster `name`."""

    name: str

    @property
    def layout(self) -> Layout:
        """Where the cluster's files are."""
        return Layout(self.name)

    def run(self, command: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a subcommand on the cluster."""
        line = [sys.executable, "-m", "e2e.cluster", command, "--name", self.name, *arguments]
        return _run(line, None, check)

    def build_image(self, tag: str, context: Path) -> Path:
        """Build the Dockerfile in `context` and return the archive."""
        line = [sys.executable, "-m", "e2e.cluster", "build-image", tag, str(context)]
        return Path(_run(line, None, True).stdout.splitlines()[-1])

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl with the cluster's kubeconfig and return what it prints."""
        line = [str(kubectl_path()), "--kubeconfig", str(self.layout.kubeconfig), *arguments]
        return _run(line, stdin, True).stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def _run(line: list[str], stdin: str | None, check: bool) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(line, input=stdin, cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if check and run.returncode != 0:
        raise AssertionError(f"`{' '.join(line)}` failed:\n{run.stdout}\n{run.stderr}")
    return run
