"""Level 1 of the fallback: which attempts are followed by another, and what the attempt filter is told."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.resource_names import QUALITY_HEADER
from heterollm_controllers.routing.envoy.resources import Json, typed
from heterollm_controllers.routing.ir import RetryChange, RoutingPolicy

__all__ = ["attempt_context", "retry_policy"]

_PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def retry_policy(policy: RoutingPolicy) -> Json:
    """When Envoy tries again. There is no limit on how long an attempt takes, only on its silence.

    Envoy's own retry budget is of no use here: it counts requests in flight at the cluster of the route, and with a
    composite cluster they are counted at the tiers, so that it never allows more than its minimum. See retry_budget.rs.
    """
    return {
        # 501, 505 and their like are about the request.
        # An answer with the header is a bad one: the attempt filter adds it.
        "retry_on": "gateway-error,retriable-status-codes,reset,connect-failure,refused-stream,retriable-headers",
        "retriable_status_codes": [500],
        "retriable_headers": [{"name": QUALITY_HEADER, "present_match": True}],
        "num_retries": policy.retries.limit,
        "per_try_idle_timeout": f"{policy.attempt_idle_limit:.3f}s",
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(_PREVIOUS_HOSTS)}
        ],
        # Draws until another engine than the failed ones comes up; of two, each draw hits it half the time.
        "host_selection_retry_max_attempts": 16,
    }


def attempt_context(policy: RoutingPolicy) -> Json:
    """What the attempt filter knows of the policy; it travels with the routes, so a change is live."""
    retries = policy.retries
    return {
        # A module that knows nothing of external tiers cannot read this, and so takes no policy that has one: it would
        # send the client's key to the service.
        "tiers": [tier.name if tier.external is None else {"external": tier.name} for tier in policy.tiers],
        "deadline": retries.deadline,
        "budget": retries.budget_percent / 100,
        "quality": retries.check_quality,
        "every": retries.change_on_every_failure,
        "changes": [_change(change) for change in retries.changes],
    }


def _change(change: RetryChange) -> Json:
    told: Json = {"new_seed": change.new_seed}
    if change.temperature is not None:
        # As text: it is put into the request as it is.
        told["temperature"] = repr(change.temperature)
    if change.max_tokens_factor is not None:
        told["max_tokens_factor"] = change.max_tokens_factor
    return told
