"""Child objects from templates. Builds only: decides nothing, reads nothing of the live cluster.

The templates are readable YAML in `manifests/templates`. Every value they print goes through JSON (which YAML
contains), so that nothing a user writes can become structure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.engine import Resources
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.diff import digest
from heterollm_controllers.fabric import Fabric, fabric_of
from heterollm_controllers.merge import strategic_merge
from heterollm_controllers.sglang.launch import DIST_PORT, HTTP_PORT, MODEL_MOUNT, launch_args

__all__ = [
    "Cluster",
    "cluster_objects",
    "engine_body",
    "engine_from",
    "policy_object",
    "revision_again",
    "revision_object",
    "tier_objects",
]

_PACKAGED = Path(__file__).parent / "templates"
_TEMPLATES = _PACKAGED if _PACKAGED.exists() else Path(__file__).parents[2] / "manifests" / "templates"


_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON may hold as it is and YAML may not. (Nor does YAML know JSON's pairs of escapes, as for an emoji.)"""


def _printed(value: Any) -> str:
    """A value as JSON that is also YAML."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, finalize=_printed, autoescape=False
)

_REMEMBERED = 2048
"""Rendered templates kept. An unchanged cluster is looked at often and needs about one per template and tier."""


class Cluster:
    """Who the children belong to: name, namespace and owner reference of one HeteroLLMCluster."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        metadata = manifest["metadata"]
        self.name: str = metadata["name"]
        self.namespace: str = metadata["namespace"]
        self.uid: str = metadata["uid"]
        self.generation: int = metadata["generation"]
        self.annotations: Mapping[str, str] = metadata.get("annotations") or {}

    def owned(self, manifest: Manifest) -> Manifest:
        """The manifest with this cluster as its controlling owner, so that deletion is the garbage collector's work."""
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}

    def selector(self, component: str, **more: str) -> dict[str, str]:
        """Labels that select pods of one component."""
        chosen = {names.CLUSTER: self.name, names.COMPONENT: component}
        return chosen | {f"{names.GROUP}/{key}": value for key, value in more.items()}


def _render(template: str, **values: Any) -> tuple[Manifest, ...]:
    """The documents of a template. Models reach it in their wire form; what comes back is shared: never change it."""
    return _documents(template, json.dumps(values, default=_wire))


def _wire(model: BaseModel) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


@lru_cache(maxsize=_REMEMBERED)
def _documents(template: str, values: str) -> tuple[Manifest, ...]:
    text = _ENVIRONMENT.get_template(template).render(**json.loads(values))
    return tuple(document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document)


def cluster_objects(cluster: Cluster, spec: HeteroLLMClusterSpec, config: Config) -> list[Manifest]:
    """Router and shared objects, without the policy (which depends on what is observed)."""
    shared = _render(
        "cluster.yaml.j2",
        cluster=cluster.name,
        namespace=cluster.namespace,
        labels=names.labels(cluster.name, "cluster"),
        engine_selector=cluster.selector("engine"),
        router_selector=cluster.selector("router"),
        network_policies=spec.security.network_policies,
        http_port=HTTP_PORT,
    )
    keys = spec.routing.api_keys
    router = _render(
        "router.yaml.j2",
        cluster=cluster.name,
        namespace=cluster.namespace,
        labels=names.labels(cluster.name, "router"),
        selector=cluster.selector("router"),
        router=names.router_name(cluster.name),
        policy=names.policy_name(cluster.name),
        image=spec.routing.image or config.router_image,
        routing=spec.routing,
        resources=_resources(spec.routing.resources),
        tls_secret=spec.routing.tls_secret,
        client_keys=keys.secret_name if keys else None,
        # Where clients have keys of their own, the routers show the engines theirs; else clients send it themselves.
        engine_key=spec.security.api_key_secret if keys else None,
    )
    return [cluster.owned(manifest) for manifest in [*shared, *router]]


def tier_objects(cluster: Cluster, tier: Tier) -> list[Manifest]:
    """Headless Service and disruption budget of a tier."""
    documents = _render(
        "tier.yaml.j2",
        engines_name=names.engines_name(cluster.name, tier.name),
        namespace=cluster.namespace,
        labels=names.labels(cluster.name, "engine", tier=tier.name),
        selector=cluster.selector("engine", tier=tier.name),
        http_port=HTTP_PORT,
    )
    return [cluster.owned(manifest) for manifest in documents]


def policy_object(cluster: Cluster, files: Mapping[str, str], version: int) -> Manifest:
    """The ConfigMap that carries the routing policy to the routers."""
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.policy_name(cluster.name),
            "namespace": cluster.namespace,
            "labels": names.labels(cluster.name, "policy"),
        },
        "data": {"version": str(version), **files},
    }
    return cluster.owned(manifest)


def engine_body(cluster: Cluster, spec: HeteroLLMClusterSpec, tier: Tier, sizing: Sizing, config: Config) -> Manifest:
    """The StatefulSet of any engine of a tier, without its name and engine label, the user's patch merged in."""
    labels = names.labels(cluster.name, "engine", tier=tier.name)
    key = spec.security.api_key_secret
    fabric = fabric_of(tier.accelerator.network, sizing.nodes)
    [body] = _render(
        "engine.yaml.j2",
        namespace=cluster.namespace,
        labels=labels,
        selector=cluster.selector("engine", tier=tier.name),
        service=names.engines_name(cluster.name, tier.name),
        service_account=f"{cluster.name}-engines",
        engine_label=names.ENGINE,
        engine=tier.engine,
        accelerator=tier.accelerator,
        sizing=sizing,
        multi_node=sizing.nodes > 1,
        image=tier.engine.image or config.engine_image,
        args=launch_args(cluster.name, cluster.namespace, config, tier, sizing, key is not None),
        env=_environment(spec, tier, sizing, fabric),
        resources=_resources(
            tier.engine.resources, {tier.accelerator.resource_name: sizing.gpus_per_node, **fabric.devices}
        ),
        locks_memory=fabric.locks_memory,
        tolerations=_tolerations(tier),
        mounts=[{"name": name, "mountPath": path, **rest} for name, path, rest in _mounts(tier)],
        volumes=_volumes(tier),
        http_port=HTTP_PORT,
        dist_port=DIST_PORT,
    )
    if not tier.pod_template:
        return body
    template = strategic_merge(body["spec"]["template"], tier.pod_template)
    metadata = template.get("metadata", {})
    metadata = {**metadata, "labels": {**metadata.get("labels", {}), **labels}}
    return {**body, "spec": {**body["spec"], "template": {**template, "metadata": metadata}}}


def _environment(spec: HeteroLLMClusterSpec, tier: Tier, sizing: Sizing, fabric: Fabric) -> list[dict[str, Any]]:
    def field(name: str, label: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}

    def secret(name: str, reference: Any) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": reference.name, "key": reference.key}}}

    variables: list[dict[str, Any]] = [
        field("ENGINE", names.ENGINE),
        {"name": "HTTP_PORT", "value": str(HTTP_PORT)},
        {"name": "HOME", "value": "/tmp"},
        # /health without generating a token: a probe must not wait behind a full batch.
        {"name": "SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION", "value": "false"},
    ]
    if sizing.nodes > 1:
        variables.append(field("NODE_RANK", names.POD_INDEX))
    variables += [{"name": name, "value": value} for name, value in fabric.environment.items()]
    if spec.security.api_key_secret is not None:
        variables.append(secret("API_KEY", spec.security.api_key_secret))
    hub = tier.model.source.hub if tier.model.source else None
    if hub is not None and hub.token_secret is not None:
        variables.append(secret("HF_TOKEN", hub.token_secret))
    users = {variable.name for variable in tier.engine.env}
    kept = [variable for variable in variables if variable["name"] not in users]
    return [*kept, *({"name": variable.name, "value": variable.value} for variable in tier.engine.env)]


def _tolerations(tier: Tier) -> list[dict[str, Any]]:
    # GPU nodes are commonly tainted with the resource's name.
    own = {"key": tier.accelerator.resource_name, "operator": "Exists", "effect": "NoSchedule"}
    users = (item.model_dump(by_alias=True, exclude_none=True) for item in tier.accelerator.tolerations)
    return [own, *users]


def _mounts(tier: Tier) -> Iterable[tuple[str, str, dict[str, Any]]]:
    yield "tmp", "/tmp", {}
    yield "shm", "/dev/shm", {}
    if _model_volume(tier):
        yield "model", MODEL_MOUNT, {"readOnly": True}


def _volumes(tier: Tier) -> list[dict[str, Any]]:
    shared_memory = {"medium": "Memory", "sizeLimit": str(tier.engine.shared_memory)}
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": shared_memory},
    ]
    model = _model_volume(tier)
    return [*volumes, {"name": "model", **model}] if model else volumes


def _model_volume(tier: Tier) -> dict[str, Any] | None:
    source = tier.model.source
    if source is not None and source.pvc is not None:
        return {"persistentVolumeClaim": {"claimName": source.pvc.claim_name, "readOnly": True}}
    if source is not None and source.host_path is not None:
        return {"hostPath": {"path": source.host_path.path, "type": "Directory"}}
    return None


def _resources(wanted: Resources | None, extended: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Requests and limits; extended resources (GPUs) must be equal in both."""
    counts = {name: str(count) for name, count in (extended or {}).items()}
    requests: dict[str, str] = dict(counts)
    limits: dict[str, str] = dict(counts)
    if wanted is not None and wanted.cpu is not None:
        requests["cpu"] = str(wanted.cpu)
    if wanted is not None and wanted.memory is not None:
        requests["memory"] = limits["memory"] = str(wanted.memory)
    return {"requests": requests, "limits": limits}


def revision_object(
    cluster: Cluster, tier: Tier, sizing: Sizing, body: Manifest, asked: Mapping[str, Any], number: int
) -> Manifest:
    """A ControllerRevision: the engine as rendered for one spec. It outlives operator upgrades, so engines do too.

    `asked` is what of the spec an engine may depend on, without defaults.
    """
    spec_hash = digest(asked)
    data = {
        "specHash": spec_hash,
        "asked": asked,
        "tier": tier.model_dump(mode="json", by_alias=True, exclude_none=True),
        "sizing": sizing.model_dump(mode="json", by_alias=True, exclude_none=True),
        "engine": body,
    }
    name = f"{cluster.name}-{tier.name}-{digest({'spec': spec_hash, 'body': body})[:8]}"
    return _revision(cluster, name, number, data, cluster.annotations.get(names.UPDATE, ""))


def revision_again(cluster: Cluster, live: Mapping[str, Any], update: str | None = None) -> Manifest:
    """A ControllerRevision as we applied it, from the live one: its data cannot have been changed.

    `update` is another value of the opt-in annotation; None keeps it.
    """
    annotations = live["metadata"].get("annotations") or {}
    name, number = live["metadata"]["name"], live["revision"]
    return _revision(
        cluster, name, number, live["data"], annotations.get(names.UPDATE, "") if update is None else update
    )


def _revision(cluster: Cluster, name: str, number: int, data: Mapping[str, Any], update: str) -> Manifest:
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": cluster.namespace,
            "labels": names.labels(cluster.name, "engine", tier=data["tier"]["name"]),
            "annotations": {names.UPDATE: update},
        },
        "revision": number,
        "data": data,
    }
    return cluster.owned(manifest)


def engine_from(cluster: Cluster, revision: Mapping[str, Any], name: str) -> Manifest:
    """The StatefulSet of one named engine, from a revision."""
    body = revision["data"]["engine"]
    own = {names.ENGINE: name}
    made_from = {names.REVISION: revision["metadata"]["name"]}
    template = body["spec"]["template"]
    manifest = {
        **body,
        "metadata": {**_marked(body["metadata"], own, made_from), "name": name},
        "spec": {
            **body["spec"],
            "selector": {"matchLabels": {**body["spec"]["selector"]["matchLabels"], **own}},
            "template": {**template, "metadata": _marked(template["metadata"], own, made_from)},
        },
    }
    return cluster.owned(manifest)


def _marked(metadata: Manifest, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    return {
        **metadata,
        "labels": {**metadata["labels"], **labels},
        "annotations": {**metadata.get("annotations", {}), **annotations},
    }
