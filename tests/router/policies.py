"""Generated policies: everything a spec can ask for, and names that nobody should write."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from heterollm_controllers.api.features import FEATURES
from heterollm_controllers.routing.ir import Endpoint, ExternalService, Retries, RetryChange, RoutingPolicy, TierRoute

__all__ = ["generated", "policies"]


def _every(kind: type[Any], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """All fields of a dataclass vary: by their type, where nothing more is known of them."""
    unknown = {field.name: ... for field in fields(kind) if field.name not in known}
    return st.builds(kind, **known, **unknown)


def _name(longest: int, others: str = "") -> st.SearchStrategy[str]:
    """A name as Kubernetes has them; `others` may be inside. (from_regex would take most of the time of a policy.)"""
    ends = "abcxyz019"
    return st.builds(
        lambda first, middle, last: f"{first}{middle}{last}",
        st.sampled_from("abcxyz"),
        st.text(ends + others, max_size=longest - 2),
        st.sampled_from(["", *ends]),
    )


_endpoints = _every(
    Endpoint,
    pod=_name(42, "-"),
    address=(st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str),
    port=st.integers(1, 65535),
)
_services = _every(
    ExternalService,
    host=_name(30, "-.") | st.ip_addresses(v=4).map(str),
    port=st.integers(1, 65535),
    path=st.just("") | st.text("abc09/._~-", max_size=20).map(lambda text: f"/{text}"),
    key_file=st.none() | _name(30, "-./").map(lambda text: f"/external/{text}"),
    # Others than certificates are refused before they are in any policy.
    ca_bundle=st.none(),
)
_tiers = st.lists(
    _every(
        TierRoute,
        name=_name(12) | st.sampled_from(["full", "router", "keys"]),
        # Anything at all: model ids are the users' text, and the one place where something could be injected.
        model_id=st.text(min_size=1, max_size=60),
        endpoints=st.lists(_endpoints, max_size=5, unique_by=lambda endpoint: endpoint.pod).map(tuple),
        max_requests=st.integers(1, 1_000_000),
        diverted_percent=st.sampled_from((0, 0, 100)) | st.integers(0, 100),
        external=st.none() | _services,
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda tier: tier.name,
).map(tuple)
_retries = _every(
    Retries,
    limit=st.integers(0, 3),
    deadline=st.floats(1, 86_400),
    budget_percent=st.integers(0, 100),
    changes=st.lists(
        _every(
            RetryChange,
            temperature=st.none() | st.floats(0, 2),
            max_tokens_factor=st.none() | st.floats(0, 2),
        ),
        max_size=3,
    ).map(tuple),
)
policies = _every(
    RoutingPolicy,
    cluster=_name(30, "-"),
    tiers=_tiers,
    complexity_threshold=st.floats(0, 1),
    attempt_idle_limit=st.floats(1, 86_400),
    retries=_retries,
    scorer_weights=st.dictionaries(st.sampled_from([feature.name for feature in FEATURES]), st.floats(0, 2)).map(
        lambda weights: tuple(sorted(weights.items()))
    ),
    routers=st.integers(1, 64),
    reserved_percent=st.just(0) | st.integers(0, 90),
    # Names of a Secret's entries, but nobody keeps a user from writing anything else.
    reserved_clients=st.lists(
        st.text(min_size=1, max_size=20) | st.integers(1, 253).map(lambda length: ("Aa.9-_" * 50)[:length]), max_size=64
    ).map(tuple),
    body_limit=st.integers(1 << 20, 256 << 20),
)


def generated(count: int) -> list[RoutingPolicy]:
    """So many policies, others every time."""
    found: list[RoutingPolicy] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(policies)
    def collect(policy: RoutingPolicy) -> None:
        found.append(policy)

    collect()
    return found
