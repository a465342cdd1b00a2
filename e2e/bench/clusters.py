"""The clusters of the reconcile bench, and the objects that the operator makes for them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.reconcile.contract import Observed
from heterollm_controllers.reconcile.pipeline import reconcile
from heterollm_controllers.render.diff import digest
from heterollm_operator.kube.client import Api, ApiError
from heterollm_operator.kube.kinds import CLUSTER, Kind, find

__all__ = ["BenchApi", "Manifest", "apply_clusters", "children", "objects_per_cluster", "prepare", "verify"]

Manifest = dict[str, Any]

_NAMESPACE = "bench"
_CRD_FILE = Path(__file__).parents[2] / "crds" / "heterollmclusters.yaml"
_CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
_NAMESPACES = Kind("v1", "Namespace", "namespaces")
_LIMIT = 60.0


class BenchApi(Api):
    """The bench's own requests, told apart in the audit log."""

    agent = "bench"


def _cluster(number: int) -> Manifest:
    """Two tiers: two single-node engines, and one over two nodes."""
    tiers = [
        {
            "name": name,
            "model": {"id": model},
            "accelerator": {"type": "A100-80GB", "perNode": 8},
            "engine": {"gpus": gpus},
            "replicas": {"min": engines, "max": 4},
        }
        for name, model, gpus, engines in (("small", "Qwen/Qwen3-4B", 2, 2), ("large", "Qwen/Qwen3-235B-A22B", 16, 1))
    ]
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": f"cluster-{number}", "namespace": _NAMESPACE},
        "spec": {"tiers": tiers},
    }


async def prepare(api: Api) -> None:
    """Install the CRD and make the namespace."""
    crd = yaml.safe_load(_CRD_FILE.read_text())
    await _apply(api, _CRD.path(None, crd["metadata"]["name"]), crd)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    await _apply(api, _NAMESPACES.path(None, _NAMESPACE), body)
    deadline = time.monotonic() + 30
    while True:
        try:
            await api.request("GET", CLUSTER.path(_NAMESPACE), limit=_LIMIT)
            return
        except ApiError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


async def apply_clusters(api: Api, count: int) -> list[Manifest]:
    """Apply all clusters at once; returns them as the API server has them."""
    manifests = (_cluster(number) for number in range(count))
    return await asyncio.gather(
        *(_apply(api, CLUSTER.path(_NAMESPACE, item["metadata"]["name"]), item) for item in manifests)
    )


def children(cluster: Manifest) -> list[Manifest]:
    """Every object that the operator makes for a new cluster, in its order."""
    now = datetime.now(UTC)
    trials = reconcile(Observed(cluster), Config(), now).check
    accepted = dict.fromkeys(map(digest, trials))
    return list(reconcile(Observed(cluster, dry_run_results=accepted), Config(), now).apply)


def objects_per_cluster() -> int:
    """How many objects that are."""
    cluster = _cluster(0)
    return len(children({**cluster, "metadata": {**cluster["metadata"], "uid": "uid", "generation": 1}}))


async def verify(api: Api, clusters: int) -> None:
    """Every child of so many clusters must exist; RuntimeError if not."""
    cluster = _cluster(0)
    one = children({**cluster, "metadata": {**cluster["metadata"], "uid": "uid", "generation": 1}})
    for (version, kind_name), each in Counter((item["apiVersion"], item["kind"]) for item in one).items():
        kind = find(version, kind_name)
        selector = {"labelSelector": f"{names.MANAGED_BY}={names.MANAGER}"}
        items = (await api.request("GET", kind.path(_NAMESPACE), query=selector, limit=_LIMIT))["items"]
        # A StatefulSet's controller makes revisions of its own, with the labels of the pods.
        ours = [item for item in items if item["metadata"]["ownerReferences"][0]["kind"] == names.KIND]
        if len(ours) != each * clusters:
            raise RuntimeError(f"{len(ours)} {kind.plural} instead of {each * clusters}")


async def _apply(api: Api, path: str, body: Manifest) -> Manifest:
    query, content_type = {"fieldManager": "bench"}, "application/apply-patch+yaml"
    return await api.request("PATCH", path, body=body, query=query, content_type=content_type, limit=_LIMIT)
