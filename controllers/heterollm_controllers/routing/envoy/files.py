"""A routing policy as the files Envoy reads."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.admission import always_full, needs_admission, share_of
from heterollm_controllers.routing.envoy.clusters import attempts, diverted, tier_hosts
from heterollm_controllers.routing.envoy.endpoints import load_assignment
from heterollm_controllers.routing.envoy.listener import listener
from heterollm_controllers.routing.envoy.resource_names import endpoints_file
from heterollm_controllers.routing.envoy.resources import discovery_response
from heterollm_controllers.routing.envoy.routes import route_configuration
from heterollm_controllers.routing.ir import RoutingPolicy

__all__ = ["envoy_files"]

_LISTENER = "envoy.config.listener.v3.Listener"


def envoy_files(policy: RoutingPolicy, version: int) -> dict[str, str]:
    """Envoy's resource files, name -> JSON text. Of the version only the routes know; they tell it to clients.

    The listener is the same for every policy: a changed listener would close long streams, so everything that varies
    is in the routes, clusters and endpoints.
    """
    tiers = policy.tiers
    clusters = [tier_hosts(tier, share_of(tier, policy)) for tier in tiers]
    clusters += [attempts(tiers[index:]) for index in range(len(tiers))]
    clusters += [diverted(tiers[index:]) for index in range(len(tiers) - 1)]
    # What the last tier does not answer itself goes to the one before it.
    clusters += [diverted((tiers[-1], tiers[-2]))] if len(tiers) > 1 else []
    if needs_admission(policy):
        clusters.append(always_full())
    assignments = {
        endpoints_file(tier.name): discovery_response(
            "envoy.config.endpoint.v3.ClusterLoadAssignment", [load_assignment(tier)]
        )
        for tier in tiers
        if tier.external is None
    }
    return assignments | {
        "cds.json": discovery_response("envoy.config.cluster.v3.Cluster", clusters),
        "lds.json": discovery_response(_LISTENER, [listener(tls=False)]),
        # For routers that have a certificate: the agent of each takes one of the two.
        "lds-tls.json": discovery_response(_LISTENER, [listener(tls=True)]),
        "rds.json": discovery_response(
            "envoy.config.route.v3.RouteConfiguration", [route_configuration(policy, version)], version
        ),
    }
