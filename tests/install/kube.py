"""What the tests ask of kubectl, and the objects they give it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.kubectl import kubectl_path, wait_until_established

__all__ = ["CRD", "Kube", "cluster"]

CRD = "heterollmclusters.serving.heterollm.io"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Kube:
    """kubectl with one kubeconfig."""

    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the standard output; a failure raises with the standard error in the message."""
        done = subprocess.run(
            [str(kubectl_path()), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def wait_until_established(self, *crds: str) -> None:
        """Wait for these CustomResourceDefinitions, ours if none is named."""
        wait_until_established(self.kubeconfig, *(crds or (CRD,)))

    def get(self, *arguments: str) -> Manifest:
        found: Manifest = json.loads(self.run("get", "--output=json", *arguments))
        return found

    def names(self, *arguments: str) -> set[str]:
        """Return kind/name of what exists."""
        return set(self.run("get", "--output=name", "--ignore-not-found", *arguments).split())

    def create(self, manifest: Mapping[str, Any], *arguments: str) -> Manifest:
        created: Manifest = json.loads(
            self.run("create", "--output=json", "--filename=-", *arguments, stdin=json.dumps(manifest))
        )
        return created

    def apply(self, manifests: Sequence[Mapping[str, Any]], *arguments: str) -> str:
        return self.run("apply", "--server-side", "--filename=-", *arguments, stdin=_list(manifests))

    def delete(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        self.run("delete", "--ignore-not-found", "--filename=-", stdin=_list(manifests))


def _list(manifests: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def cluster(name: str, namespace: str) -> Manifest:
    """The smallest HeteroLLMCluster."""
    tier = {"name": "small", "model": {"id": "Qwen/Qwen3-4B"}, "accelerator": {"type": "A100-80GB"}}
    return {
        "apiVersion": "serving.heterollm.io/v1alpha1",
        "kind": "HeteroLLMCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"tiers": [tier]},
    }
