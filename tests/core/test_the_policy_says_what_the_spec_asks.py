"""From the fields of routing to the policy that the routers get."""

from __future__ import annotations

import pytest

from heterollm_controllers.engines.revisions import Chosen
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.routing.ir import Retries, RetryChange
from heterollm_controllers.routing.translate import UNSIZED_ENGINE, routing_policy
from heterollm_controllers.sizing import size
from tests.core.builders import api_tier, spec, tier


def test_defaults_are_the_policys_own_and_retries_cool_down() -> None:
    policy = routing_policy("demo", spec(), [])
    assert (policy.complexity_threshold, policy.routers, policy.body_limit) == (0.7, 2, 16 << 20)
    assert not policy.trust_headers
    assert policy.retries == Retries(
        changes=(RetryChange(0.2), RetryChange(0.0, 0.5), RetryChange(0.0, 0.5, new_seed=True)),
    )


def test_every_field_arrives() -> None:
    wanted = {
        "complexityThreshold": "0.5",
        "scorerWeights": {"maths": "0.3", "code": "0.1"},
        "trustHeaders": True,
        "retries": {
            "limit": 1,
            "deadlineSeconds": 30,
            "budgetPercent": 20,
            "changes": [{"temperature": "0.1", "newSeed": True}],
            "changeOnEveryFailure": True,
            "checkQuality": False,
        },
        "reservedPercent": 30,
        "bodyLimitMiB": 1,
        "apiKeys": {"secretName": "keys", "reserved": ["b", "a"]},
        "tlsSecret": "certificate",
        "replicas": 3,
    }
    policy = routing_policy("demo", spec(routing=wanted), [])
    assert policy.complexity_threshold == 0.5
    assert policy.scorer_weights == (("code", 0.1), ("maths", 0.3))
    assert policy.retries == Retries(1, 30.0, 20, (RetryChange(0.1, None, True),), True, False)
    assert policy.trust_headers
    assert (policy.reserved_percent, policy.reserved_clients) == (30, ("a", "b"))
    assert (policy.body_limit, policy.routers) == (1 << 20, 3)


@pytest.mark.parametrize(
    ("model", "engine", "least", "most"),
    [
        # An engine of unknown capacity, and one whose KV cache holds a few hundred usual requests.
        ("org/small", {"gpus": 1}, UNSIZED_ENGINE, UNSIZED_ENGINE),
        ("Qwen/Qwen3-4B", {"gpus": 1}, 100, 2000),
    ],
)
def test_a_tier_may_hold_what_all_its_engines_hold(model: str, engine: dict[str, int], least: int, most: int) -> None:
    def capacity(most_engines: int) -> int:
        asked = api_tier(model={"id": model}, engine=engine, replicas={"min": 1, "max": most_engines})
        parsed = tier(**asked)
        revision = Revision({"metadata": {"name": "r"}})
        chosen = Chosen(parsed, size(parsed), revision, is_new=False, update_available=False)
        view = TierView(chosen, 1, (), {}, {}, (), frozenset())
        return routing_policy("demo", spec(asked), [view]).tiers[0].max_requests

    one, four = capacity(1), capacity(4)
    assert least <= one <= most
    assert four == 4 * one


@pytest.mark.parametrize(
    ("migration", "slow_after"),
    [(None, None), ({}, 150), ({"gates": {"firstByteMs": 900}}, 900), ({"gates": {"firstByteMs": 0}}, 3_600_000)],
)
def test_sides_are_compared_where_a_cluster_migrates(migration: object, slow_after: int | None) -> None:
    asked = spec() if migration is None else spec(migration=migration)
    policy = routing_policy("demo", asked, [])
    assert policy.slow_after_ms == slow_after
