"""The whole system on the embedded Kubernetes: cluster, images, operator. The demo and the scenarios stand on it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.cache import Report
from e2e.cluster.images import build
from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.forward import ensure_forward
from e2e.cluster.node.host import ensure_packages
from e2e.cluster.node.layout import Layout
from e2e.cluster.node.load import load_archive
from e2e.cluster.node.up import Devices, up
from e2e.install import install

__all__ = ["ENGINE_IMAGES", "ROOT", "Stack", "StackError", "build_image", "wait_until"]

ROOT = Path(__file__).parents[1]
VERSION = "0.1.0"
OPERATOR_NAMESPACE = "heterollm-system"

# Name of the image -> (Dockerfile, context), relative to the repository.
_IMAGES = {
    "operator": ("operator/Dockerfile", "."),
    "router": ("router-image/Dockerfile", "router-image"),
    "engine-sim": ("engine-image/Dockerfile.sim", "engine-image"),
    "engine-cpu": ("engine-image/Dockerfile.cpu", "engine-image"),
}
ENGINE_IMAGES = {"simulated": "engine-sim", "sglang": "engine-cpu"}


class StackError(RuntimeError):
    """Something did not come up in time; the message says what was seen last."""


@dataclass(frozen=True)
class Stack:
    """A running embedded cluster, and what one does with it."""

    layout: Layout
    report: Report

    @classmethod
    def up(cls, name: str, report: Report, gpus: int = 8) -> Stack:
        """Start the cluster unless it runs."""
        layout = Layout(name)
        up(layout, Devices(gpus, 0), report)
        return cls(layout, report)

    def load_images(self, names: Sequence[str]) -> dict[str, str]:
        """Build the project's images that changed, load those that the node lacks, and return their content keys."""
        ensure_packages(self.report)
        return self.load({name: build_image(name, self.report) for name in names})

    def load(self, archives: Mapping[str, Path]) -> dict[str, str]:
        """Load the images that the node lacks, and return their content keys."""
        inside = running_cluster(self.layout)
        for name, archive in archives.items():
            # Gigabytes take minutes here, in which nothing else would be said.
            self.report(f"heterollm/{name}: to the node, {archive.stat().st_size / 1e6:.0f} MB unless it is there")
            load_archive(inside, archive)
        return {name: archive.stem for name, archive in archives.items()}

    def install_operator(self, image_key: str, values: Mapping[str, Any] | None = None) -> None:
        """Install the chart, or upgrade it when the chart or the operator's image changed."""
        # The tag stays the same while one works on the code, so the image's content is what tells pods apart.
        operator = {"image": {"pullPolicy": "Never"}, "podAnnotations": {"heterollm.io/image-content": image_key}}
        values = {"operator": operator, **(values or {})}
        install(self.layout.kubeconfig, OPERATOR_NAMESPACE, values, report=self.report)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints.

        Raises:
            StackError: kubectl failed; the message is its own.
        """
        environment = {**os.environ, "KUBECONFIG": str(self.layout.kubeconfig)}
        command = [str(kubectl_path()), *arguments]
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """One object as the API server has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def routing_url(self, cluster: str, namespace: str) -> str:
        """Base URL, on this machine's loopback, of a cluster's routing Service."""
        address = f"{cluster}.{namespace}.svc.cluster.local"
        return f"http://127.0.0.1:{ensure_forward(running_cluster(self.layout), address, 80)}"

    def wait_ready(self, cluster: str, namespace: str, seconds: float) -> None:
        """Wait until the current generation of a cluster is Ready, reporting every change on the way.

        Raises:
            StackError: not Ready within the time; the message holds the last condition.
        """
        said: list[str] = []

        def ready() -> bool:
            found = self.get("hllm", cluster, namespace)
            status = found.get("status") or {}
            conditions = {item["type"]: item for item in status.get("conditions") or []}
            condition = conditions.get("Ready", {"status": "Unknown", "message": "the operator has not looked yet"})
            line = f"{cluster}: engines {status.get('engines', '?')}, {condition['message']}"
            if said[-1:] != [line]:
                said.append(line)
                self.report(line)
            current = condition.get("observedGeneration") == found["metadata"]["generation"]
            return bool(current and condition["status"] == "True")

        wait_until(ready, seconds, lambda: f"{cluster} is not Ready after {seconds:.0f} s: {said[-1]}")


def build_image(name: str, report: Report) -> Path:
    """Build one of the project's images if it changed, and return its archive. Needs no cluster."""
    dockerfile, context = _IMAGES[name]
    return build.build_image(f"heterollm/{name}:{VERSION}", ROOT / dockerfile, ROOT / context, report=report)


def wait_until(done: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> None:
    """Look twice a second until `done` holds.

    Raises:
        StackError: it did not within the time; the message is the complaint.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise StackError(complaint())
        time.sleep(0.5)
