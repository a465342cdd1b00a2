"""A release's life on a real API server: what is there after install, upgrade, uninstall and the next install."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from helm_python import _native

from helm.render import CHART
from tests.install.kube import CRD, Kube, cluster

pytestmark = pytest.mark.apiserver

Helm = Any  # helm_python's classes reach us untyped

_NEW_NAMESPACE = itertools.count()
_INSTALL = CHART.parent.parent / "manifests" / "install"
_DEPLOYMENT = ("deployment", "heterollm-operator")


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A namespace for releases; afterwards neither a release nor the CRD is left."""
    name = f"release-{next(_NEW_NAMESPACE)}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    with helm_python.Config(kubeconfig_path=kube.kubeconfig, namespace=name) as config:
        for release in config.list(all_states=True):
            config.uninstall(release["name"])
    kube.run("delete", "crd", CRD, "--ignore-not-found")


@pytest.fixture
def helm(kube: Kube, namespace: str) -> Iterator[Helm]:
    with helm_python.Config(kubeconfig_path=kube.kubeconfig, namespace=namespace) as config:
        yield config


def _with_flag(helm: Helm, action: str, chart: Path, release: str, flag: str) -> None:
    """`helm install` or `upgrade` with a flag that the library has and its Python signature has not."""
    none = _native.HANDLE(0)
    options = json.dumps({flag: True})
    _native.call_string(f"helm_{action}", helm._raw(), none, none, str(chart), release, None, options)


def _kinds(kube: Kube, manifest: str) -> list[str]:
    """Kinds of those objects of a release's manifest that exist, sorted."""
    names = kube.run("get", "--output=name", "--ignore-not-found", "--filename=-", stdin=manifest).split()
    return sorted(name.partition("/")[0].partition(".")[0] for name in names)


def _all_kinds(manifest: str) -> list[str]:
    return sorted(document["kind"].lower() for document in yaml.safe_load_all(manifest))


def _create_cluster(kube: Kube, namespace: str) -> str:
    """Create a cluster and return its uid."""
    kube.wait_until_established()
    return str(kube.create(cluster("live", namespace))["metadata"]["uid"])


def _cluster_uid(kube: Kube, namespace: str) -> str:
    return str(kube.get("hllm", "live", "-n", namespace)["metadata"]["uid"])


def _crd_owner(kube: Kube) -> str:
    return str(kube.get("crd", CRD)["metadata"]["annotations"]["meta.helm.sh/release-name"])


def _environment(kube: Kube, namespace: str) -> dict[str, str]:
    (container,) = kube.get(*_DEPLOYMENT, "-n", namespace)["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


def test_install_creates_everything_and_uninstall_leaves_crd_and_clusters(
    kube: Kube, helm: Helm, namespace: str
) -> None:
    manifest = helm.install(CHART, "heterollm")["manifest"]
    assert _kinds(kube, manifest) == _all_kinds(manifest)
    uid = _create_cluster(kube, namespace)

    helm.uninstall("heterollm")
    assert _kinds(kube, manifest) == ["customresourcedefinition"]
    assert _cluster_uid(kube, namespace) == uid


def test_the_same_release_installed_again_owns_the_kept_crd(kube: Kube, helm: Helm, namespace: str) -> None:
    helm.install(CHART, "heterollm")
    uid = _create_cluster(kube, namespace)
    helm.uninstall("heterollm")

    manifest = helm.install(CHART, "heterollm")["manifest"]
    assert _kinds(kube, manifest) == _all_kinds(manifest)
    assert _cluster_uid(kube, namespace) == uid


def test_upgrade_changes_operator_and_crd_but_no_cluster(
    kube: Kube, helm: Helm, namespace: str, tmp_path: Path
) -> None:
    helm.install(_older_chart(tmp_path), "heterollm", {"operator": {"workers": 3}})
    assert "podTemplate" not in _tier_fields(kube)
    uid = _create_cluster(kube, namespace)
    before = kube.get("hllm", "live", "-n", namespace)

    helm.upgrade(CHART, "heterollm", {"operator": {"workers": 5}})
    assert _environment(kube, namespace)["HETEROLLM_WORKERS"] == "5"
    assert "podTemplate" in _tier_fields(kube)
    assert kube.get("hllm", "live", "-n", namespace) == before
    assert _cluster_uid(kube, namespace) == uid


def _older_chart(folder: Path) -> Path:
    """The chart with a CRD that lacks a field of tiers, and the rules that compare their fields."""
    older = folder / "heterollm"
    shutil.copytree(CHART, older)
    file = older / "files" / "heterollmclusters.yaml"
    crd = yaml.safe_load(file.read_text())
    tier = _tier(crd)
    del tier["properties"]["podTemplate"], tier["x-kubernetes-validations"]
    file.write_text(yaml.safe_dump(crd, sort_keys=False))
    return older


def _tier_fields(kube: Kube) -> set[str]:
    return set(_tier(kube.get("crd", CRD))["properties"])


def _tier(crd: dict[str, Any]) -> dict[str, Any]:
    """The schema of a tier."""
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    found: dict[str, Any] = spec["properties"]["tiers"]["items"]
    return found


def test_giving_up_the_crd_in_an_upgrade_keeps_it(kube: Kube, helm: Helm, namespace: str) -> None:
    helm.install(CHART, "heterollm")
    uid = _create_cluster(kube, namespace)
    helm.upgrade(CHART, "heterollm", {"crds": {"enabled": False}})
    assert _cluster_uid(kube, namespace) == uid
    helm.upgrade(CHART, "heterollm", {"crds": {"enabled": True}})
    assert _cluster_uid(kube, namespace) == uid


def test_another_release_is_refused_until_it_takes_ownership(kube: Kube, helm: Helm, namespace: str) -> None:
    helm.install(CHART, "first")
    uid = _create_cluster(kube, namespace)
    helm.uninstall("first")

    with pytest.raises(helm_python.HelmReleaseError, match=f'"{CRD}".*cannot be imported.*"meta.helm.sh/release-name"'):
        helm.install(CHART, "second")
    _with_flag(helm, "install", CHART, "second", "take_ownership")
    assert _crd_owner(kube) == "second"
    assert _cluster_uid(kube, namespace) == uid


def test_ownership_can_be_given_with_kubectl(kube: Kube, helm: Helm, namespace: str) -> None:
    """The way for Helm before 3.17 and for tools that do not offer --take-ownership."""
    helm.install(CHART, "first")
    uid = _create_cluster(kube, namespace)
    helm.uninstall("first")

    annotations = ("meta.helm.sh/release-name=second", f"meta.helm.sh/release-namespace={namespace}")
    kube.run("annotate", "--overwrite", "crd", CRD, *annotations)
    kube.run("label", "--overwrite", "crd", CRD, "app.kubernetes.io/managed-by=Helm")
    helm.install(CHART, "second")
    assert _crd_owner(kube) == "second"
    assert _cluster_uid(kube, namespace) == uid


def test_from_plain_manifests_to_helm(kube: Kube, helm: Helm, namespace: str, tmp_path: Path) -> None:
    """The CRD of `kubectl apply -k` is taken over; its fields stay kubectl's until an upgrade that changes them."""
    kube.run("apply", "-k", str(_INSTALL))
    uid = _create_cluster(kube, namespace)
    kube.run("delete", "-k", str(_INSTALL / "cluster-wide"))

    _with_flag(helm, "install", CHART, "heterollm", "take_ownership")
    assert _crd_owner(kube) == "heterollm"
    other = _older_chart(tmp_path)
    with pytest.raises(helm_python.HelmReleaseError, match='conflict with "kubectl'):
        helm.upgrade(other, "heterollm")
    _with_flag(helm, "upgrade", other, "heterollm", "force_conflicts")
    assert "podTemplate" not in _tier_fields(kube)
    helm.upgrade(CHART, "heterollm")
    assert "podTemplate" in _tier_fields(kube)
    assert _cluster_uid(kube, namespace) == uid


def test_two_namespaced_operators_share_one_crd(kube: Kube, helm: Helm, namespace: str) -> None:
    mine = {"watch": {"namespaces": [namespace]}}
    helm.install(CHART, "one", mine)
    manifest = helm.install(CHART, "two", {**mine, "crds": {"enabled": False}})["manifest"]
    assert _kinds(kube, manifest) == _all_kinds(manifest)
    leases = {_lease(kube, namespace, f"{release}-heterollm-operator") for release in ("one", "two")}
    assert leases == {"one-heterollm-operator", "two-heterollm-operator"}


def _lease(kube: Kube, namespace: str, deployment: str) -> str:
    (container,) = kube.get("deployment", deployment, "-n", namespace)["spec"]["template"]["spec"]["containers"]
    (name,) = (variable["value"] for variable in container["env"] if variable["name"] == "HETEROLLM_LEASE_NAME")
    return str(name)
