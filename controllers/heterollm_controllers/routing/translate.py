"""The routing policy of a cluster: what its spec asks for, over the engines that serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from heterollm_controllers.api.v1alpha1.cluster import AnyTier, HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.external import ExternalTier
from heterollm_controllers.api.v1alpha1.migration import Migration
from heterollm_controllers.api.v1alpha1.routing import Retries as RetriesSpec
from heterollm_controllers.api.v1alpha1.routing import Routing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.render.external import key_file
from heterollm_controllers.routing.ir import Endpoint, ExternalService, Retries, RetryChange, RoutingPolicy, TierRoute
from heterollm_controllers.sglang.launch import HTTP_PORT

__all__ = ["routing_policy"]

UNSIZED_ENGINE = 4096
"""Requests in flight to an engine, or a service, of which nobody says how many it can take."""
NEVER_SLOW_MS = 3_600_000
"""Where no gate asks for slow answers."""
_ALL: Mapping[str, int] = MappingProxyType({})
_WAITING = 2
"""In flight may be twice what an engine runs at once: as many wait in its queue."""


def routing_policy(
    cluster: str, spec: HeteroLLMClusterSpec, views: Sequence[TierView], shares: Mapping[str, int] = _ALL
) -> RoutingPolicy:
    """What the routers of a cluster are told.

    Args:
        shares: per cent of its requests that each tier gets; all where a tier is not named.
    """
    by_name = {view.chosen.tier.name: view for view in views}
    wanted = spec.routing
    return RoutingPolicy(
        cluster=cluster,
        tiers=tuple(_route(tier, by_name.get(tier.name), shares.get(tier.name, 100)) for tier in spec.tiers),
        complexity_threshold=wanted.complexity_threshold,
        retries=_retries(wanted.retries),
        scorer_weights=tuple(sorted((wanted.scorer_weights or {}).items())),
        trust_headers=wanted.trust_headers,
        routers=wanted.replicas,
        reserved_percent=wanted.reserved_percent,
        reserved_clients=tuple(sorted(_reserved(wanted))),
        body_limit=wanted.body_limit_mib << 20,
        slow_after_ms=_slow_after(spec.migration),
    )


def _slow_after(migration: Migration | None) -> int | None:
    """None where nothing migrates: then the routers do not compare."""
    if migration is None:
        return None
    return migration.gates.first_byte_ms or NEVER_SLOW_MS


def _route(tier: AnyTier, view: TierView | None, kept: int) -> TierRoute:
    return _external_route(tier, kept) if isinstance(tier, ExternalTier) else _tier_route(tier, view, kept)


def _external_route(tier: ExternalTier, kept: int) -> TierRoute:
    """Where a tier's requests go that is a service outside of the cluster; `kept` per cent of them."""
    service = tier.external
    return TierRoute(
        tier.name,
        service.model,
        endpoints=(),
        max_requests=service.max_requests or UNSIZED_ENGINE,
        diverted_percent=100 - kept,
        external=ExternalService(
            service.host, service.port, service.tls, service.path, key_file(tier), service.ca_bundle
        ),
    )


def _tier_route(tier: Tier, view: TierView | None, kept: int) -> TierRoute:
    """Where a tier's requests go: the leaders of its engines that serve; `kept` per cent of them."""
    leaders = [engine.leader for engine in view.serving] if view is not None else []
    model = view.chosen.tier.model.id if view is not None else tier.model.id
    endpoints = tuple(
        Endpoint(leader.name, leader.address, HTTP_PORT) for leader in leaders if leader is not None and leader.address
    )
    scaling = view.scaling if view is not None else None
    return TierRoute(
        tier.name,
        model,
        endpoints,
        max_requests=_capacity(tier, view),
        diverted_percent=100 - kept,
        sticky=scaling is not None and scaling.caching == "Aggressive",
    )


def _capacity(tier: Tier, view: TierView | None) -> int:
    """Requests in flight that the tier may hold with all the engines it may grow to.

    Not of the engines that serve at the moment: that would change Envoy's clusters with each of them, and a changed
    cluster forgets which engines failed.
    """
    speed = view.chosen.sizing.performance if view is not None else None
    each = _WAITING * speed.concurrent_requests if speed is not None else UNSIZED_ENGINE
    return max(1, each) * max(1, tier.replicas.bounds.most)


def _retries(wanted: RetriesSpec) -> Retries:
    return Retries(
        limit=wanted.limit,
        deadline=float(wanted.deadline_seconds),
        budget_percent=wanted.budget_percent,
        changes=tuple(
            RetryChange(change.temperature, change.max_tokens_factor, change.new_seed) for change in wanted.changes
        ),
        change_on_every_failure=wanted.change_on_every_failure,
        check_quality=wanted.check_quality,
    )


def _reserved(wanted: Routing) -> tuple[str, ...]:
    return wanted.api_keys.reserved if wanted.api_keys is not None else ()
