"""The demo's HeteroLLMCluster as scenarios see it: apply, look at it and at its pods, send requests to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from e2e.cluster.node.commands import running_cluster
from e2e.scenarios.load import Load
from e2e.stack import ROOT, Stack

__all__ = ["NAME", "ChatCluster", "quick_sample", "sample"]

Manifest = dict[str, Any]

NAME = "chat"
_READY_SECONDS = 120.0


def sample() -> Manifest:
    """What `make demo` applies."""
    manifest: Manifest = yaml.safe_load((ROOT / "manifests" / "samples" / "demo-simulated.yaml").read_text())
    return manifest


def quick_sample() -> Manifest:
    """The same with engines five times as fast that have little time to drain, and need it."""
    manifest = sample()
    for tier in manifest["spec"]["tiers"]:
        tier["engine"]["args"] += ["--sim-time-scale", "0.2"]
        tier["engine"]["drainSeconds"] = 10
    return manifest


@dataclass(frozen=True)
class ChatCluster:
    """The cluster `chat` of a namespace."""

    stack: Stack
    namespace: str

    @property
    def url(self) -> str:
        """Base URL of the routing Service on this machine's loopback."""
        return self.stack.routing_url(NAME, self.namespace)

    def load(self, *models: str) -> Load:
        """A steady load on these models, in turn."""
        return Load(self.url, models)

    def apply(self, manifest: Manifest) -> None:
        """Create or change what the manifest describes."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Kubectl in the cluster's namespace."""
        return self.stack.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def wait_ready(self) -> None:
        """Wait until the current generation is Ready."""
        self.stack.wait_ready(NAME, self.namespace, _READY_SECONDS)

    def get(self) -> Manifest:
        """The HeteroLLMCluster."""
        return self.stack.get("hllm", NAME, self.namespace)

    def tier(self, name: str) -> Manifest:
        """Status of a tier."""
        return next(tier for tier in self.get()["status"]["tiers"] if tier["name"] == name)

    def pods(self, selector: str) -> list[Manifest]:
        """Pods by label selector, those on their way out included."""
        found: list[Manifest] = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return found

    def engine_pods(self, tier: str) -> list[Manifest]:
        """Pods of a tier's engines."""
        return self.pods(f"serving.heterollm.io/tier={tier},serving.heterollm.io/component=engine")

    def kill_container(self, pod: Manifest, container: str) -> None:
        """SIGKILL the first process of a container, as the kernel does when memory runs out."""
        statuses = {status["name"]: status for status in pod["status"]["containerStatuses"]}
        identity = statuses[container]["containerID"].removeprefix("containerd://")
        inside = running_cluster(self.stack.layout)
        inside.run(["ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", identity])
