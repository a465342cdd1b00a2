"""What keeps an operator from making engines in a namespace, beside their manifests: quotas, policies, webhooks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from heterollm_operator.kube.kinds import Kind
from tests.apiserver.kube import Kube

__all__ = ["OBSTACLES", "in_the_way"]

Manifest = dict[str, Any]

_ADMISSION = "admissionregistration.k8s.io/v1"
_POLICY = Kind(_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
_BINDING = Kind(_ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")
_WEBHOOK = Kind(_ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
_RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}


def _object(kind: Kind, name: str, **fields: Any) -> tuple[Kind, Manifest]:
    return kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **fields}


def _here(namespace: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def _policy(reason: str) -> Callable[[str], list[tuple[Kind, Manifest]]]:
    def objects(namespace: str) -> list[tuple[Kind, Manifest]]:
        validation = {"expression": "false", "message": "no engines on Fridays", "reason": reason}
        spec = {"matchConstraints": {"resourceRules": [_RULE]}, "validations": [validation]}
        binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": _here(namespace)}
        return [_object(_POLICY, namespace, spec=spec), _object(_BINDING, namespace, spec=binding)]

    return objects


def _quota(namespace: str) -> list[tuple[Kind, Manifest]]:
    return [_object(_QUOTA, "engines", spec={"hard": {"count/statefulsets.apps": "0"}})]


def _webhook(namespace: str) -> list[tuple[Kind, Manifest]]:
    webhook = {
        "name": "away.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [_RULE],
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **_here(namespace),
    }
    return [_object(_WEBHOOK, namespace, webhooks=[webhook])]


OBSTACLES = {
    "a policy": _policy("Forbidden"),
    "a policy that says Invalid": _policy("Invalid"),
    "a quota": _quota,
    "a webhook that is down": _webhook,
}


@contextlib.asynccontextmanager
async def in_the_way(kube: Kube, obstacle: str) -> AsyncIterator[None]:
    """The obstacle is in force; afterwards it is gone."""
    objects = OBSTACLES[obstacle](kube.namespace)
    query, content = {"fieldManager": "user", "force": "true"}, "application/apply-patch+yaml"
    try:
        for kind, manifest in objects:
            await kube.api.request(
                "PATCH", _path(kube, kind, manifest), body=manifest, query=query, content_type=content, limit=20
            )
        yield
    finally:
        for kind, manifest in reversed(objects):
            await kube.api.request("DELETE", _path(kube, kind, manifest), limit=20)


def _path(kube: Kube, kind: Kind, manifest: Manifest) -> str:
    return kind.path(kube.namespace if kind == _QUOTA else None, manifest["metadata"]["name"])
