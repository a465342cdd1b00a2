"""Clusters and endpoints change in stages in which nothing is asked for that is not ready."""

from __future__ import annotations

import json
from typing import Any

from heterollm_agent.policy_stages import cluster_stages, endpoint_stages, engines_of
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import Endpoint, RoutingPolicy, TierRoute


def clusters(*tiers: str, **more: Any) -> str:
    """Envoy's clusters of a policy with these tiers."""
    routes = tuple(TierRoute(name, f"model/{name}", (), **more) for name in tiers)
    return envoy_files(RoutingPolicy("demo", routes), 1)["cds.json"]


def endpoints(*ports: int) -> str:
    """Endpoints of a tier with an engine at each of these ports."""
    engines = tuple(Endpoint(f"engine-{port}", "10.0.0.1", port) for port in ports)
    return envoy_files(RoutingPolicy("demo", (TierRoute("small", "model/small", engines),)), 1)["eds-small.json"]


def read(text: str) -> dict[str, dict[str, Any]]:
    """Clusters by name."""
    return {cluster["name"]: cluster for cluster in json.loads(text)["resources"]}


def test_what_is_the_same_or_the_first_is_written_as_it_is() -> None:
    text = clusters("small", "large")
    assert cluster_stages(text, None) == [text]
    assert cluster_stages(text, text) == [text]


def test_a_changed_tier_whose_users_do_not_change_is_one_stage() -> None:
    old, new = clusters("small", max_requests=10), clusters("small", max_requests=20)
    changed = json.loads(old)
    changed["resources"][0] = json.loads(new)["resources"][0]
    text = json.dumps(changed)
    assert cluster_stages(text, old) == [text]


def test_what_is_made_of_new_clusters_changes_after_them() -> None:
    old, new = clusters("small", "large"), clusters("small", "other")
    first, last = cluster_stages(new, old)
    assert read(first).keys() == read(last).keys() == read(old).keys() | read(new).keys()
    for name in ("route_small", "diverted_small"):
        assert read(first)[name] == read(old)[name]
        assert read(last)[name] == read(new)[name] != read(old)[name]
    for name in ("tier_other", "route_other"):
        assert read(first)[name] == read(new)[name]


def test_every_stage_can_be_told_from_what_came_before() -> None:
    old, new = clusters("small", "large"), clusters("small", "other")
    texts = [old, *cluster_stages(new, old), new]
    assert len({json.loads(text)["version_info"] for text in texts}) == len(texts)


def test_what_was_to_leave_stays_over_the_next_change() -> None:
    old, new, newer = clusters("one"), clusters("two"), clusters("three")
    left = cluster_stages(new, old)[-1]
    assert {"tier_one", "tier_two", "tier_three"} <= read(cluster_stages(newer, left)[-1]).keys()


def test_what_was_to_leave_and_comes_back_is_as_it_is_wanted() -> None:
    old, new, again = clusters("one"), clusters("two"), clusters("one", max_requests=7)
    left = cluster_stages(new, old)[-1]
    assert read(cluster_stages(again, left)[-1])["tier_one"] == read(again)["tier_one"]


def test_engines_that_replace_all_others_join_them_first() -> None:
    old, new = endpoints(1, 2), endpoints(3)
    first, last = endpoint_stages(new, old)
    assert engines_of(first) == ("tier_small", {("10.0.0.1", port) for port in (1, 2, 3)})
    assert last == new


def test_endpoints_that_keep_an_engine_or_have_none_are_one_stage() -> None:
    for new, old in (((1,), None), ((1,), (1,)), ((2, 3), (1, 2)), ((), (1,))):
        text = endpoints(*new)
        assert endpoint_stages(text, None if old is None else endpoints(*old)) == [text]
