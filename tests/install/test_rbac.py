"""Who may do what once the chart is installed, as the API server sees it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from helm.render import render
from tests.install.kube import Kube

pytestmark = pytest.mark.apiserver

_AGGREGATION_TIMEOUT_S = 20

# (API group, resource, name or "" for any, verb)
Right = tuple[str, str, str, str]

_READ = ("get", "list", "watch")
_CHILDREN = (*_READ, "create", "patch", "delete")
_MANAGER = {
    ("serving.heterollm.io", "heterollmclusters"): _READ,
    ("serving.heterollm.io", "heterollmclusters/status"): ("get", "patch"),
    ("serving.heterollm.io", "heterollmclusters/finalizers"): ("update",),
    ("", "services"): _CHILDREN,
    ("", "configmaps"): _CHILDREN,
    ("", "serviceaccounts"): _CHILDREN,
    ("", "pods"): (*_READ, "delete"),
    ("apps", "statefulsets"): _CHILDREN,
    ("apps", "deployments"): _CHILDREN,
    ("apps", "controllerrevisions"): _CHILDREN,
    ("policy", "poddisruptionbudgets"): _CHILDREN,
    ("networking.k8s.io", "networkpolicies"): _CHILDREN,
    ("rbac.authorization.k8s.io", "roles"): _CHILDREN,
    ("rbac.authorization.k8s.io", "rolebindings"): _CHILDREN,
    ("events.k8s.io", "events"): ("create",),
}
_MANAGER_RIGHTS = {(group, resource, "", verb) for (group, resource), verbs in _MANAGER.items() for verb in verbs}
_LEASE_RIGHTS = {
    ("coordination.k8s.io", "leases", "", "create"),
    ("coordination.k8s.io", "leases", "heterollm-operator", "get"),
    ("coordination.k8s.io", "leases", "heterollm-operator", "update"),
}


@pytest.fixture(scope="module")
def installed(kube: Kube) -> Iterator[None]:
    """Two operators: one that watches everything, one that watches two namespaces."""
    names = ("rbac-wide", "rbac-narrow", "rbac-watched", "rbac-other")
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
    access = [*_access({}, "rbac-wide"), *_access({"watch": {"namespaces": list(names[1:3])}}, "rbac-narrow")]
    kube.apply(access)
    yield
    kube.delete(access)


def _access(values: dict[str, Any], namespace: str) -> Iterator[dict[str, Any]]:
    for document in render(values, namespace=namespace):
        if "Role" in document.manifest["kind"] or document.manifest["kind"] == "ServiceAccount":
            yield document.manifest


def _rights(kube: Kube, account_namespace: str, account: str, namespace: str) -> set[Right]:
    """What a ServiceAccount may do in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{account_namespace}", "system:authenticated")
    identity = [f"--as=system:serviceaccount:{account_namespace}:{account}", *(f"--as-group={name}" for name in groups)]
    # Validation would have kubectl list CRDs, which these may not.
    return set(_flatten(kube.create(review, "--validate=false", *identity)["status"]["resourceRules"]))


def _flatten(rules: Iterable[dict[str, Any]]) -> Iterator[Right]:
    for rule in rules:
        for group in rule.get("apiGroups", [""]):
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    yield from ((group, resource, name, verb) for verb in rule["verbs"])


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("operator", "namespace", "expected"),
    [
        ("rbac-wide", "rbac-wide", _MANAGER_RIGHTS | _LEASE_RIGHTS),
        ("rbac-wide", "rbac-other", _MANAGER_RIGHTS),
        ("rbac-narrow", "rbac-narrow", _MANAGER_RIGHTS | _LEASE_RIGHTS),
        ("rbac-narrow", "rbac-watched", _MANAGER_RIGHTS),
        ("rbac-narrow", "rbac-other", set()),
    ],
)
def test_the_operator_may_do_exactly_what_it_needs(
    kube: Kube, operator: str, namespace: str, expected: set[Right]
) -> None:
    everybody = _rights(kube, operator, "default", namespace)
    assert _rights(kube, operator, "heterollm-operator", namespace) - everybody == expected


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("operator", ["rbac-wide", "rbac-narrow"])
def test_the_operator_may_grant_routers_their_policy_and_nothing_it_lacks(kube: Kube, operator: str) -> None:
    identity = f"--as=system:serviceaccount:{operator}:heterollm-operator"

    def role(resource: str) -> dict[str, Any]:
        rule = {"apiGroups": [""], "resources": [resource], "verbs": ["get", "watch"]}
        metadata = {"name": f"router-{resource}", "namespace": operator}
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}

    kube.create(role("configmaps"), "--validate=false", identity)
    with pytest.raises(AssertionError, match="attempting to grant RBAC permissions not currently held"):
        kube.create(role("secrets"), "--validate=false", identity)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("view", set(_READ)),
        ("edit", {*_READ, "create", "update", "patch", "delete", "deletecollection"}),
        ("admin", {*_READ, "create", "update", "patch", "delete", "deletecollection"}),
    ],
)
def test_namespace_roles_of_users_cover_clusters(kube: Kube, role: str, verbs: set[str]) -> None:
    """A controller of Kubernetes aggregates the chart's roles into its own, within moments."""
    deadline = time.monotonic() + _AGGREGATION_TIMEOUT_S
    while (found := _cluster_verbs(kube, role)) != verbs:
        assert time.monotonic() < deadline, f"{role} has {found}"


def _cluster_verbs(kube: Kube, role: str) -> set[str]:
    rights = _flatten(kube.get("clusterrole", role)["rules"])
    return {verb for _, resource, _, verb in rights if resource == "heterollmclusters"}
