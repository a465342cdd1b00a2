"""What a cluster and its tiers have once: routers, Services, the routing policy, disruption budgets."""

from __future__ import annotations

from collections.abc import Mapping

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.render.external import key_mounts
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.render.resources import resources_of
from heterollm_controllers.render.templates import render_template
from heterollm_controllers.sglang.launch import HTTP_PORT

__all__ = ["cluster_objects", "policy_object", "tier_objects"]


def cluster_objects(cluster: Cluster, spec: HeteroLLMClusterSpec, config: Config) -> list[Manifest]:
    """Router and shared objects, without the policy (which depends on what is observed)."""
    shared = render_template(
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
    router = render_template(
        "router.yaml.j2",
        cluster=cluster.name,
        namespace=cluster.namespace,
        labels=names.labels(cluster.name, "router"),
        selector=cluster.selector("router"),
        router=names.router_name(cluster.name),
        policy=names.policy_name(cluster.name),
        image=spec.routing.image or config.router_image,
        routing=spec.routing,
        resources=resources_of(spec.routing.resources),
        tls_secret=spec.routing.tls_secret,
        client_keys=keys.secret_name if keys else None,
        # Where clients have keys of their own, the routers show the engines theirs; else clients send it themselves.
        engine_key=spec.security.api_key_secret if keys else None,
        service_keys=[mount._asdict() for mount in key_mounts(spec.external_tiers)],
    )
    return [cluster.owned(manifest) for manifest in [*shared, *router]]


def tier_objects(cluster: Cluster, tier: Tier) -> list[Manifest]:
    """Headless Service and disruption budget of a tier."""
    documents = render_template(
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
