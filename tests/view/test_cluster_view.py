"""A view says what a cluster's status and figures say, and what nobody knows stays unknown."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.view.cluster_view import cluster_view, urgent_first
from heterollm_controllers.view.figures import ClusterFigures
from tests.view.clusters import RECORDED, cluster, figures


def weights(body: dict[str, Any]) -> dict[str, int]:
    return {tier.name: tier.traffic_weight for tier in cluster_view(body).tiers}


@pytest.mark.parametrize(
    ("recorded", "state", "level", "engines"),
    [
        ("serving", "Ready", "Normal", (3, 3)),
        ("escalated", "Ready", "Escalated", (3, 3)),
        ("first-tick", "Reconciling", "Normal", (0, 3)),
        ("pure-large", "Stalled", "PureLarge", (3, 3)),
        ("refused-template", "Stalled", "Normal", (3, 3)),
        ("scaled-up", "Ready", "Normal", (2, 4)),
        ("tier-removed", "Reconciling", "Normal", (2, 2)),
    ],
)
def test_state_level_and_engines(recorded: str, state: str, level: str, engines: tuple[int, int]) -> None:
    view = cluster_view(cluster(recorded))
    assert (view.state, view.level, (view.serving, view.wanted)) == (state, level, engines)


@pytest.mark.parametrize("recorded", RECORDED)
def test_everything_recorded_has_a_view(recorded: str) -> None:
    view = cluster_view(cluster(recorded), figures())
    assert view.state != "Unreadable"
    assert view.why
    assert view.model_dump(mode="json", by_alias=True)["figures"]["requestsPerSecond"] == 42.5


def test_weights_are_those_in_force() -> None:
    assert weights(cluster("serving")) == {"small": 100, "large": 100}
    assert weights(cluster("escalated")) == {"small": 0, "large": 100}
    assert weights(cluster("migration-rolled-back")) == {"small": 0, "large": 100}
    migration = {**cluster("migration-rolled-back")["status"]["migration"], "state": "Advancing", "percent": 30}
    assert weights(cluster("serving", migration=migration)) == {"small": 30, "large": 100}


@pytest.mark.parametrize(("routed", "small"), [(True, 30), (False, 100)])
def test_a_migration_from_an_external_tier_counts_once_routers_send_there(routed: bool, small: int) -> None:
    migration = {**cluster("migration-rolled-back")["status"]["migration"], "state": "Advancing", "percent": 30}
    service = {"name": "api", "url": "https://api.example.com/v1", "model": "m", "routed": routed}
    body = cluster("serving", migration=migration, externalTiers=[service])
    body["spec"]["tiers"] = [{"name": "small"}, {"name": "api", "external": {}}]
    assert weights(body) == {"small": small, "api": 100}


def test_a_fallback_that_is_a_dry_run_moves_nothing() -> None:
    body = cluster("escalated")
    body["status"] |= {"mode": "Normal", "fallback": {**body["status"]["fallback"], "dryRun": True}}
    assert weights(body) == {"small": 100, "large": 100}
    assert cluster_view(body).level == "Normal"


def test_a_new_spec_that_nobody_has_seen_is_not_ready() -> None:
    body = cluster("serving")
    body["metadata"]["generation"] += 1
    assert cluster_view(body).state == "Reconciling"


def test_a_cluster_without_status_is_new_and_one_that_goes_is_deleting() -> None:
    body = cluster("serving")
    del body["status"]
    new = cluster_view(body)
    assert (new.state, new.serving, new.wanted) == ("New", 0, 0)
    assert [tier.name for tier in new.tiers] == ["small", "large"]
    body = cluster("serving")
    body["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert cluster_view(body).state == "Deleting"


def test_a_status_that_cannot_be_read_says_which_field() -> None:
    view = cluster_view(cluster("serving", fallback={"state": "Sideways"}))
    assert view.state == "Unreadable"
    assert "fallback.state" in view.why


def test_unknown_is_not_zero() -> None:
    view = cluster_view(cluster("serving"))
    assert view.figures == ClusterFigures()
    assert (view.saving, view.figures.requests_per_second) == (None, None)
    assert cluster_view(cluster("serving"), figures(hourly_dollars_otherwise=None)).saving is None


def test_the_saving_may_be_a_loss() -> None:
    assert cluster_view(cluster("serving"), figures()).saving == pytest.approx(1 - 131.7 / 384)
    loss = cluster_view(cluster("serving"), figures(hourly_dollars=480.0))
    assert loss.saving == pytest.approx(-0.25)


def test_an_external_tier_has_its_address_and_problem() -> None:
    body = cluster("serving")
    body["spec"]["tiers"].append({"name": "api", "external": {}})
    service = {"name": "api", "url": "https://api.example.com/v1", "model": "m", "routed": True}
    body["status"]["externalTiers"] = [{**service, "problem": "KeyRefused"}]
    row = cluster_view(body).tiers[-1]
    assert (row.name, row.url, row.problem, row.wanted) == ("api", "https://api.example.com/v1", "KeyRefused", 0)


def test_a_tier_that_has_left_the_spec_is_not_shown() -> None:
    body = cluster("serving")
    body["spec"]["tiers"] = body["spec"]["tiers"][1:]
    assert [tier.name for tier in cluster_view(body).tiers] == ["large"]


def test_the_newest_decision_is_first() -> None:
    found = cluster_view(cluster("escalated")).decisions
    assert found[0].action == "TierEscalated"
    assert [item.time for item in found] == sorted((item.time for item in found), reverse=True)


def test_clusters_that_need_somebody_come_first() -> None:
    views = [cluster_view(cluster(name, name)) for name in ("serving", "escalated", "first-tick", "pure-large")]
    views.append(cluster_view(cluster("serving", "a-ready")))
    ordered = [view.name for view in sorted(views, key=urgent_first)]
    assert ordered == ["pure-large", "first-tick", "escalated", "a-ready", "serving"]
