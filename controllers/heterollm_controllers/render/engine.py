"""The StatefulSet of an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.render.rdma import Fabric, fabric_of
from heterollm_controllers.render.resources import resources_of
from heterollm_controllers.render.strategic_merge import strategic_merge
from heterollm_controllers.render.templates import render_template
from heterollm_controllers.sglang.launch import DIST_PORT, HTTP_PORT, MODEL_MOUNT, launch_args

__all__ = ["engine_body", "engine_from"]


def engine_body(cluster: Cluster, spec: HeteroLLMClusterSpec, tier: Tier, sizing: Sizing, config: Config) -> Manifest:
    """The StatefulSet of any engine of a tier, without its name and engine label, the user's patch merged in."""
    labels = names.labels(cluster.name, "engine", tier=tier.name)
    key = spec.security.api_key_secret
    fabric = fabric_of(tier.accelerator.network, sizing.nodes)
    [body] = render_template(
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
        resources=resources_of(
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


def engine_from(cluster: Cluster, revision: Revision, name: str) -> Manifest:
    """The StatefulSet of one named engine, from a revision."""
    body = revision.engine
    own = {names.ENGINE: name}
    made_from = {names.REVISION: revision.name}
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
