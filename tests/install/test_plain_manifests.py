"""`kubectl apply -k` on a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from helm.render import CHART, Document, Manifest, render
from tests.install.kube import CRD, Kube, cluster
from tests.install.matrix import MATRIX

pytestmark = pytest.mark.apiserver

_INSTALL = CHART.parent.parent / "manifests" / "install"
_NEIGHBOURS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
"""Kinds that may be there, and are not of ours."""


def _neighbour(kind: str) -> Manifest:
    """A CRD of the Prometheus Operator, as far as our objects need it."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(scope="module")
def namespaces(kube: Kube) -> None:
    """The namespaces that the matrix speaks of; the operator's admits only restricted pods."""
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    names = {"team-a": {}, "team-b": {}, "restricted": enforce}
    kube.apply(
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": v}} for n, v in names.items()]
    )
    neighbours = [_neighbour(kind) for kind in _NEIGHBOURS]
    kube.apply(neighbours)
    kube.wait_until_established(*(item["metadata"]["name"] for item in neighbours))


@pytest.fixture
def crd(kube: Kube) -> Iterator[None]:
    """Remove the CRD, and every cluster with it, after the test."""
    yield
    kube.run("delete", "crd", CRD, "--ignore-not-found")


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("name", MATRIX)
def test_the_api_server_accepts_what_the_chart_renders(kube: Kube, name: str) -> None:
    manifests = [document.manifest for document in render(MATRIX[name], namespace="restricted")]
    answer = kube.apply(manifests, "--dry-run=server", "--validate=strict")
    assert len(answer.splitlines()) == len(manifests)


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("name", ["default", "everything"])
def test_the_operators_pods_are_restricted(kube: Kube, name: str) -> None:
    """The API server's own PodSecurity admission judges them, with a ServiceAccount that exists."""
    (template,) = (d.manifest["spec"]["template"] for d in render(MATRIX[name]) if _is(d, "Deployment"))
    template["spec"]["serviceAccountName"] = "default"
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] |= {"name": "operator", "namespace": "restricted"}
    assert kube.create(pod, "--dry-run=server")["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.usefixtures("namespaces")
def test_the_pod_of_helm_test_is_restricted(kube: Kube) -> None:
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render({}, name="heterollm", namespace="restricted")
    pod = yaml.safe_load(rendered["heterollm/templates/tests/ready.yaml"])
    assert kube.create(pod, "--dry-run=server")["spec"]["automountServiceAccountToken"] is False


def _is(document: Document, kind: str) -> bool:
    return bool(document.manifest["kind"] == kind)


@pytest.mark.usefixtures("crd")
def test_what_is_applied_is_live_as_it_was_written(kube: Kube) -> None:
    """Whatever the API server drops or rewrites, an empty string for one, GitOps tools would show as drift for ever."""
    written = kube.run("kustomize", str(_INSTALL))
    kube.run("apply", "-k", str(_INSTALL))
    live = json.loads(kube.run("get", "--output=json", "--filename=-", stdin=written))["items"]
    desired = list(yaml.safe_load_all(written))
    assert len(live) == len(desired)
    found = {_key(manifest): manifest for manifest in live}
    assert not [lost for manifest in desired for lost in _lost(manifest, found[_key(manifest)], _key(manifest))]
    kube.run("delete", "-k", str(_INSTALL / "cluster-wide"))


def _key(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def _lost(desired: Any, live: Any, path: str) -> Iterator[str]:
    """Yield the paths of what is desired and not live."""
    if isinstance(desired, dict) and isinstance(live, dict):
        for key, value in desired.items():
            yield from _lost(value, live.get(key), f"{path}.{key}")
    elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
        for index, (one, other) in enumerate(zip(desired, live, strict=True)):
            yield from _lost(one, other, f"{path}[{index}]")
    elif desired != live:
        yield f"{path}: {desired!r} is {live!r}"


@pytest.mark.usefixtures("crd")
def test_deleting_the_operators_manifests_keeps_crd_and_clusters(kube: Kube) -> None:
    kube.run("apply", "-k", str(_INSTALL))
    kube.wait_until_established()
    kube.apply([cluster("kept", "default")])
    kube.run("delete", "-k", str(_INSTALL / "cluster-wide"))
    assert kube.names("hllm", "--namespace=default") == {"heterollmcluster.serving.heterollm.io/kept"}
    assert kube.names(
        "deployment,clusterrole,clusterrolebinding", "-A", "-l", "app.kubernetes.io/instance=heterollm"
    ) == (set())


def test_the_namespaced_variant_moves_to_another_namespace(kube: Kube, tmp_path: Path) -> None:
    """The documented overlay: everything in it, and the operator's identity too, is in the new namespace."""
    # kustomize wants a relative path.
    (tmp_path / "base").symlink_to(_INSTALL / "namespaced")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    overlay.joinpath("kustomization.yaml").write_text(json.dumps({"resources": ["../base"], "namespace": "team-a"}))
    manifests = list(yaml.safe_load_all(kube.run("kustomize", str(overlay))))
    assert {manifest["metadata"].get("namespace") for manifest in manifests} == {"team-a"}
    subjects = [manifest["subjects"] for manifest in manifests if manifest["kind"] == "RoleBinding"]
    identity = [{"kind": "ServiceAccount", "name": "heterollm-operator", "namespace": "team-a"}]
    assert subjects == [identity, identity]
