"""The chart by itself: what it renders for which values."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from helm.render import CHART, Manifest, render
from heterollm_controllers.api import names
from tests.install.matrix import MATRIX

_ROOT = CHART.parent.parent
_USER_ROLES = {"ClusterRole/heterollm-operator-view", "ClusterRole/heterollm-operator-edit"}
_ALWAYS = {
    "ServiceAccount/heterollm-operator",
    "Role/heterollm-operator-leader-election",
    "RoleBinding/heterollm-operator-leader-election",
    "Deployment/heterollm-operator",
    "Service/heterollm-operator-metrics",
}
_CLUSTER_WIDE = {"ClusterRole/heterollm-operator", "ClusterRoleBinding/heterollm-operator"}
_NAMESPACED = {"Role/heterollm-operator", "RoleBinding/heterollm-operator"}
_CRD = {"CustomResourceDefinition/heterollmclusters.serving.heterollm.io"}
_PDB = {"PodDisruptionBudget/heterollm-operator"}
_EXPECTED = {
    "default": _ALWAYS | _CLUSTER_WIDE | _USER_ROLES | _CRD | _PDB,
    "namespaced": _ALWAYS | _NAMESPACED | _USER_ROLES | _CRD | _PDB,
    "without cluster-scoped objects": _ALWAYS | _NAMESPACED | _PDB,
    "everything": _ALWAYS
    | _CLUSTER_WIDE
    | _USER_ROLES
    | _CRD
    | _PDB
    | {"ServiceMonitor/heterollm-operator", "NetworkPolicy/heterollm-operator"}
    | {"PodMonitor/heterollm-operator-clusters", "PrometheusRule/heterollm-operator"}
    | {f"ConfigMap/heterollm-operator-{name}-dashboard" for name in ("cluster", "cost", "fleet", "migration")},
}


def _manifests(values: dict[str, Any] | None = None, **options: str) -> list[Manifest]:
    return [document.manifest for document in render(values, **options)]


def _one(kind: str, values: dict[str, Any] | None = None, **options: str) -> Manifest:
    (manifest,) = (manifest for manifest in _manifests(values, **options) if manifest["kind"] == kind)
    return manifest


def _pod(values: dict[str, Any] | None = None, **options: str) -> Manifest:
    spec: Manifest = _one("Deployment", values, **options)["spec"]["template"]["spec"]
    return spec


def _environment(values: dict[str, Any] | None = None, **options: str) -> dict[str, Any]:
    (container,) = _pod(values, **options)["containers"]
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


@pytest.mark.parametrize("name", MATRIX)
def test_lint_has_nothing_to_say_but_that_there_is_no_icon(name: str) -> None:
    report = helm_python.lint(CHART, MATRIX[name], strict=True, kube_version="v1.36.0")
    assert not report["errors"]
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("name", MATRIX)
def test_values_choose_the_objects(name: str) -> None:
    rendered = {f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in _manifests(MATRIX[name])}
    assert rendered == _EXPECTED[name]


def test_a_role_in_every_watched_namespace_with_the_cluster_roles_rules() -> None:
    roles = [manifest for manifest in _manifests(MATRIX["namespaced"]) if manifest["kind"] == "Role"]
    manager = {
        role["metadata"]["namespace"]: role["rules"] for role in roles if "leader" not in role["metadata"]["name"]
    }
    (cluster_wide,) = (
        manifest["rules"]
        for manifest in _manifests()
        if manifest["kind"] == "ClusterRole" and manifest["metadata"]["name"] == "heterollm-operator"
    )
    assert manager == {"team-a": cluster_wide, "team-b": cluster_wide}


def test_no_rule_has_a_wildcard() -> None:
    for manifest in _manifests(MATRIX["everything"]):
        for rule in manifest.get("rules", []):
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, manifest["metadata"]["name"]


def test_the_operator_is_told_what_the_values_say() -> None:
    values = {
        "watch": {"namespaces": ["team-a", "team-b"]},
        "operator": {"workers": 3, "resyncSeconds": 60, "logLevel": "DEBUG"},
        "engine": {"image": {"repository": "mirror.example.com/engine", "tag": "7"}},
        "router": {"image": {"repository": "mirror.example.com/router"}},
        "clusterDomain": "k8s.example.com",
    }
    assert _environment(values, release="other") == {
        "HETEROLLM_NAMESPACES": "team-a,team-b",
        "HETEROLLM_LEASE_NAME": "other-heterollm-operator",
        "HETEROLLM_ENGINE_IMAGE": "mirror.example.com/engine:7",
        "HETEROLLM_ROUTER_IMAGE": f"mirror.example.com/router:{_project_version()}",
        "HETEROLLM_CLUSTER_DOMAIN": "k8s.example.com",
        "HETEROLLM_WORKERS": "3",
        "HETEROLLM_RESYNC": "60",
        "HETEROLLM_LOG_LEVEL": "DEBUG",
    }


def test_the_operator_is_told_where_figures_come_from() -> None:
    environment = _environment(MATRIX["everything"])
    told = {name: value for name, value in environment.items() if "PROMETHEUS" in name or "SECONDS" in name}
    assert told == {
        "HETEROLLM_PROMETHEUS_URL": "https://prometheus.monitoring:9091/prefix",
        "HETEROLLM_PROMETHEUS_TOKEN_FILE": "/etc/heterollm/prometheus-token/token",
        "HETEROLLM_PROMETHEUS_CA_FILE": "/etc/heterollm/prometheus-ca/ca.crt",
        "HETEROLLM_POLL_SECONDS": "5",
        "HETEROLLM_SCRAPE_SECONDS": "15",
    }
    assert not any("PROMETHEUS" in name or "SECONDS" in name for name in _environment())


def test_the_status_page_is_off_by_default() -> None:
    assert "HETEROLLM_STATUS_PAGE" not in _environment()
    assert "HETEROLLM_STATUS_PAGE" not in _environment({"statusPage": {"enabled": False}})
    assert _environment({"statusPage": {"enabled": True}})["HETEROLLM_STATUS_PAGE"] == "on"


def test_the_files_for_prometheus_are_mounted_where_the_operator_looks() -> None:
    pod = _pod(MATRIX["everything"])
    token, ca = pod["volumes"]
    assert token["secret"] == {"secretName": "prometheus", "items": [{"key": "bearer", "path": "token"}]}
    assert ca["configMap"] == {"name": "prometheus", "items": [{"key": "ca.pem", "path": "ca.crt"}]}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {
        token["name"]: "/etc/heterollm/prometheus-token",
        ca["name"]: "/etc/heterollm/prometheus-ca",
    }
    assert "volumes" not in _pod({"prometheus": {"url": "http://prometheus"}})
    assert "volumes" not in _pod({"prometheus": {"tokenSecret": {"name": "unused"}}})


def test_the_pods_of_clusters_are_scraped_as_often_as_the_operator_believes() -> None:
    values = {"metrics": {"podMonitor": {"create": "always"}}, "prometheus": {"scrapeSeconds": 7}}
    monitor = _one("PodMonitor", values)
    assert {endpoint["interval"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} == {"7s"}
    assert monitor["spec"]["namespaceSelector"] == {"any": True}
    own = _one("PodMonitor", {**values, "watch": {"namespaces": ["a", "b"]}})
    assert own["spec"]["namespaceSelector"] == {"matchNames": ["a", "b"]}


def test_a_pod_monitor_selects_the_pods_of_clusters_and_ports_they_have() -> None:
    selector = _one("PodMonitor", MATRIX["everything"])["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    for component in ("engine", "router"):
        labels = names.labels("c", component)
        assert selector["matchLabels"].items() <= labels.items()
        assert labels[expression["key"]] in expression["values"]
    ports = {endpoint["port"] for endpoint in _one("PodMonitor", MATRIX["everything"])["spec"]["podMetricsEndpoints"]}
    templates = _ROOT / "manifests" / "templates"
    assert "{name: http, containerPort: {{ http_port }}}" in (templates / "engine.yaml.j2").read_text()
    assert "{name: agent, containerPort: 8081}" in (templates / "router.yaml.j2").read_text()
    assert ports == {"http", "agent"}


def test_prometheus_can_be_reached_where_it_is_used() -> None:
    def ports(values: dict[str, Any]) -> list[int]:
        policy = _one("NetworkPolicy", {**values, "networkPolicy": {"enabled": True}})
        return [port["port"] for port in policy["spec"]["egress"][0]["ports"]]

    assert ports({}) == [443, 6443]
    assert ports({"prometheus": {"url": "http://prometheus:9090"}}) == [443, 6443, 9090]


def test_all_namespaces_are_no_variable() -> None:
    assert "HETEROLLM_NAMESPACES" not in _environment()


def test_the_own_namespace_is_watched_by_reference() -> None:
    """Otherwise a kustomization that moves the manifests would leave the operator watching the old namespace."""
    environment = _environment({"watch": {"namespaces": ["here"]}}, namespace="here")
    assert environment["HETEROLLM_NAMESPACES"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_a_tag_with_digest_pins_the_image() -> None:
    tag = "0.1.0@sha256:" + "0" * 64
    (container,) = _pod({"operator": {"image": {"tag": tag}}})["containers"]
    assert container["image"] == f"heterollm/operator:{tag}"


def test_the_lease_role_names_the_lease_of_the_operator() -> None:
    (role,) = (
        manifest
        for manifest in _manifests(release="other")
        if manifest["kind"] == "Role" and manifest["metadata"]["name"].endswith("-leader-election")
    )
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, ["other-heterollm-operator"]]


def test_operator_selectors_never_match_a_clusters_children() -> None:
    """A cluster may be called like the release, in the release's namespace; its children carry these labels."""
    child = {"app.kubernetes.io/name": "heterollm", "app.kubernetes.io/instance": "heterollm"}
    selectors = list(_selectors(_manifests(MATRIX["everything"])))
    assert len(selectors) == 6
    for selector in selectors:
        assert not selector.items() <= child.items()


def _selectors(manifests: list[Manifest]) -> Iterator[dict[str, str]]:
    """Every selector of pods, or of the Service, that the chart contains."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        if manifest["kind"] in {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"}:
            yield selector.get("matchLabels", selector)
        if manifest["kind"] == "Deployment":
            for constraint in spec["template"]["spec"]["topologySpreadConstraints"]:
                yield constraint["labelSelector"]["matchLabels"]


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("heterollm", "heterollm-operator"),
        ("heterollm-operator", "heterollm-operator"),
        ("prod", "prod-heterollm-operator"),
        ("x" * 53, "x" * 53 + "-h"),
    ],
)
def test_object_names_follow_the_release_and_fit(release: str, name: str) -> None:
    assert _one("Deployment", release=release)["metadata"]["name"] == name
    assert len(_one("Service", release=release)["metadata"]["name"]) <= 63


def test_one_version_for_chart_operator_and_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert {chart["version"], chart["appVersion"]} == {_project_version()}


def _project_version() -> str:
    version: str = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version
