"""The rendered files: the same for the same policy, and changed only where a policy changes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterollm_agent.policy import parse
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.envoy.resource_names import tier_cluster
from heterollm_controllers.routing.ir import Endpoint, RoutingPolicy, TierRoute
from tests.router.policies import policies

FEW = settings(max_examples=30, deadline=None)
"""A policy is large and made of few kinds of parts: more examples find no more."""


def resources(files: dict[str, str], name: str) -> list[Any]:
    """The resources in a file."""
    found: list[Any] = json.loads(files[name])["resources"]
    return found


@FEW
@given(policies, st.integers(1, 2**53))
def test_equal_policies_give_equal_files_whatever_the_order_of_engines(policy: RoutingPolicy, version: int) -> None:
    shuffled = replace(policy, tiers=tuple(replace(t, endpoints=t.endpoints[::-1]) for t in policy.tiers))
    assert envoy_files(policy, version) == envoy_files(shuffled, version)


@FEW
@given(policies, st.integers(1, 2**53))
def test_every_file_is_ascii_json_and_the_agent_takes_them(policy: RoutingPolicy, version: int) -> None:
    files = envoy_files(policy, version)
    assert files.keys() == {
        "cds.json",
        "lds.json",
        "lds-tls.json",
        "rds.json",
        *(f"eds-{t.name}.json" for t in policy.tiers if t.external is None),
    }
    for text in files.values():
        assert text.isascii()
        assert json.loads(text)["version_info"]
    assert json.loads(files["rds.json"])["version_info"] == str(version)
    listener = {False: files["lds.json"], True: files.pop("lds-tls.json")}
    for tls, text in listener.items():
        taken = parse(envoy_files(policy, version) | {"version": str(version)}, None, tls=tls)
        assert taken.files == files | {"lds.json": text}


@FEW
@given(policies, policies)
def test_the_listener_never_changes(one: RoutingPolicy, other: RoutingPolicy) -> None:
    """Because a changed listener ends long streams."""
    for name in ("lds.json", "lds-tls.json"):
        assert envoy_files(one, 1)[name] == envoy_files(other, 2)[name]


@FEW
@given(policies)
def test_a_changed_engine_changes_only_its_tiers_endpoints_and_the_version_that_routes_tell(
    policy: RoutingPolicy,
) -> None:
    first, *others = policy.tiers
    first = replace(first, external=None)
    changed = replace(first, endpoints=(*first.endpoints, Endpoint("new", "10.0.0.1", 30000)))
    before, after = (
        envoy_files(replace(policy, tiers=(tier, *others)), version) for version, tier in ((1, first), (2, changed))
    )
    assert {name for name in before if before[name] != after[name]} == {f"eds-{first.name}.json", "rds.json"}


@FEW
@given(policies)
def test_every_attempt_goes_to_a_tier_that_is_not_cheaper(policy: RoutingPolicy) -> None:
    files = envoy_files(policy, 1)
    names = [tier.name for tier in policy.tiers]
    for position, name in enumerate(names):
        steps = _steps(files, f"route_{name}")
        assert steps[0] == name
        assert len(steps) >= 4
        reached = [names.index(step) for step in steps]
        assert reached == sorted(reached)
        assert set(reached) == set(range(position, len(names)))


@FEW
@given(policies)
def test_the_diverted_share_goes_to_the_last_tier_first_and_its_own_to_the_one_before(policy: RoutingPolicy) -> None:
    files = envoy_files(policy, 1)
    (routes,) = resources(files, "rds.json")
    (host,) = routes["virtual_hosts"]
    clusters = {_chosen(route): route["route"]["cluster"] for route in host["routes"] if _chosen(route)}
    told = host["typed_per_filter_config"]["choose"]["filter_config"]["value"]["tiers"]
    for tier, choice in zip(policy.tiers, told, strict=True):
        assert choice["name"] == choice["own"]["tier"] == tier.name
        assert clusters[tier.name] == f"route_{tier.name}"
        if len(policy.tiers) == 1 or tier.diverted_percent == 0:
            assert choice["other"] is None
            continue
        other = policy.tiers[-2 if tier is policy.tiers[-1] else -1].name
        assert (choice["diverted"], choice["other"]["tier"]) == (tier.diverted_percent, other)
        assert clusters[f"{tier.name}/diverted"] == f"diverted_{tier.name}"
        steps = _steps(files, f"diverted_{tier.name}")
        assert steps[0] == other
        assert tier.name in steps


def test_a_model_that_two_tiers_serve_is_asked_of_the_cheaper_one() -> None:
    tiers = TierRoute("small", "m", ()), TierRoute("large", "m", ())
    assert _models(RoutingPolicy("demo", tiers)) == {"m": "small", "small": "small", "large": "large"}


def test_the_name_of_a_tier_is_that_tier_though_a_model_of_another_is_called_so() -> None:
    tiers = TierRoute("small", "large", ()), TierRoute("large", "m", ())
    assert _models(RoutingPolicy("demo", tiers)) == {"small": "small", "large": "large", "m": "large"}


def _models(policy: RoutingPolicy) -> dict[str, str]:
    """Which tier is asked by which value of `model`."""
    (routes,) = resources(envoy_files(policy, 1), "rds.json")
    (host,) = routes["virtual_hosts"]
    found: dict[str, str] = host["typed_per_filter_config"]["choose"]["filter_config"]["value"]["models"]
    return found


@pytest.mark.parametrize(("percent", "cluster"), [(0, "route_large"), (60, "route_large"), (100, "diverted_large")])
def test_requests_of_which_nobody_knows_the_tier_go_where_the_last_tiers_go(percent: int, cluster: str) -> None:
    tiers = TierRoute("small", "s", ()), TierRoute("large", "l", (), diverted_percent=percent)
    (routes,) = resources(envoy_files(RoutingPolicy("demo", tiers), 1), "rds.json")
    (host,) = routes["virtual_hosts"]
    (route,) = [route["route"] for route in host["routes"] if "route" in route and _chosen(route) is None]
    assert route["cluster"] == cluster


@pytest.mark.parametrize(("sticky", "percent"), [(False, 150), (True, 300)])
def test_a_tier_that_cannot_grow_keeps_conversations_where_their_prefix_is(sticky: bool, percent: int) -> None:
    """An engine may have up to this share of the average load before they move on."""
    files = envoy_files(RoutingPolicy("demo", (TierRoute("small", "s", (), sticky=sticky),)), 1)
    (engines,) = [item for item in resources(files, "cds.json") if item["name"] == tier_cluster("small")]
    assert engines["common_lb_config"]["consistent_hashing_lb_config"] == {"hash_balance_factor": percent}


def _chosen(route: dict[str, Any]) -> str | None:
    """What the choose filter must have said of a request that takes this route."""
    named = [header for header in route["match"].get("headers", []) if header["name"] == "x-llm-chosen"]
    return named[0]["string_match"]["exact"] if named else None


def _steps(files: dict[str, str], cluster: str) -> list[str]:
    """The tiers that serve the attempts."""
    clusters = {found["name"]: found for found in resources(files, "cds.json")}
    entries = [entry["name"] for entry in clusters[cluster]["cluster_type"]["typed_config"]["clusters"]]
    assert clusters.keys() >= set(entries)
    return [entry.removeprefix("tier_") for entry in entries]
