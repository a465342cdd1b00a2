"""A tier that is a service outside of the cluster: no engines, a route once all routers have its key, and honesty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from heterollm_controllers.api.signals import ClusterSignal, TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.external import ExternalService, ExternalTier
from tests.core.builders import api_tier, spec
from tests.core.test_steered_engines import Figures, diverted
from tests.core.world import World, settled
from tests.router.certificates import issue

KEY = {"name": "far-key", "key": "token"}


def external(name: str = "far", **more: Any) -> dict[str, Any]:
    """A tier as a user writes it."""
    return {"name": name, "external": {"url": "https://far.example.com/v1", "model": "acme/big", **more}}


def clusters(world: World) -> dict[str, Any]:
    return {item["name"]: item for item in json.loads(world.policy()["cds.json"])["resources"]}


def tier_names(world: World) -> list[str]:
    return [name.removeprefix("tier_") for name in clusters(world) if name.startswith("tier_")]


def service(world: World, tier: str = "far") -> dict[str, Any]:
    [locality] = clusters(world)[f"tier_{tier}"]["load_assignment"]["endpoints"]
    [endpoint] = locality["lb_endpoints"]
    found: dict[str, Any] = endpoint["metadata"]["filter_metadata"]["llm"]
    return found


def volumes(world: World) -> dict[str, Any]:
    pod = world.server.objects["Deployment", "demo-router"]["spec"]["template"]["spec"]
    return {item["name"]: item for item in pod["volumes"]}


def test_it_has_no_objects_of_engines_and_the_cluster_is_ready() -> None:
    world = settled(api_tier(), external(apiKeySecret=KEY))
    assert world.ready()
    for kind in ("StatefulSet", "PodDisruptionBudget", "Service", "ControllerRevision", "Pod"):
        assert not [item for item in world.server.of_kind(kind) if "-far-" in item["metadata"]["name"]], kind
    assert world.status["engines"] == "1/1"
    assert [tier["name"] for tier in world.status["tiers"]] == ["small"]
    assert world.status["externalTiers"] == [
        {
            "name": "far",
            "url": "https://far.example.com/v1",
            "model": "acme/big",
            "secret": "far-key/token",
            "routed": True,
        }
    ]
    assert world.holds("TiersCompatible")


def test_routers_mount_its_key_and_nothing_else_has_it() -> None:
    world = settled(api_tier(), external(apiKeySecret=KEY))
    assert volumes(world)["external-far"]["secret"] == {
        "secretName": "far-key",
        "items": [{"key": "token", "path": "far-key/token"}],
        "optional": True,
    }
    pod = world.server.objects["Deployment", "demo-router"]["spec"]["template"]["spec"]
    mounting = [
        item["name"]
        for item in pod["containers"]
        if any(mount["name"] == "external-far" for mount in item["volumeMounts"])
    ]
    assert mounting == ["envoy"]
    assert service(world)["key_file"] == "/external/far/far-key/token"


def test_routers_learn_of_it_once_all_of_them_have_its_key() -> None:
    world = settled(api_tier())
    world.controllers.routers_start = False
    world.change(api_tier(), external(apiKeySecret=KEY))
    world.ticks(10)
    assert "external-far" in volumes(world)
    assert tier_names(world) == ["small"]
    assert [item["routed"] for item in world.status["externalTiers"]] == [False]
    assert not world.ready()
    world.controllers.routers_start = True
    world.settle()
    assert tier_names(world) == ["small", "far"]
    assert [item["routed"] for item in world.status["externalTiers"]] == [True]
    # And they go on knowing it while they are replaced for something else.
    world.controllers.routers_start = False
    world.change(api_tier(), external(apiKeySecret=KEY), routing={"image": "newer"})
    world.ticks(10)
    assert not world.ready()
    assert tier_names(world) == ["small", "far"]


def test_a_change_of_the_secret_waits_for_the_routers_again_and_one_of_the_url_does_not() -> None:
    world = settled(api_tier(), external(apiKeySecret=KEY))
    world.controllers.routers_start = False
    world.change(api_tier(), external(apiKeySecret=KEY, url="http://10.0.0.1:8000"))
    world.ticks(3)
    assert service(world)["authority"] == "10.0.0.1:8000"
    world.change(api_tier(), external(apiKeySecret={**KEY, "name": "other"}))
    world.ticks(10)
    assert tier_names(world) == ["small"]
    world.controllers.routers_start = True
    world.settle()
    assert service(world)["key_file"] == "/external/far/other/token"


def test_without_a_key_it_is_routed_at_once_and_no_router_restarts() -> None:
    world = settled(api_tier())
    before = world.server.objects["Deployment", "demo-router"]["spec"]
    world.change(api_tier(), external())
    world.tick()
    assert tier_names(world) == ["small", "far"]
    assert "key_file" not in service(world)
    assert world.server.objects["Deployment", "demo-router"]["spec"] == before


def test_a_cluster_may_have_nothing_else() -> None:
    world = settled(external("one", apiKeySecret=KEY), external("two", url="http://two:8000/openai/"))
    assert tier_names(world) == ["one", "two"]
    assert service(world, "two") == {"tier": "two", "authority": "two:8000", "path": "/openai", "model": "acme/big"}
    assert not world.server.of_kind("StatefulSet")


def test_a_tier_that_becomes_a_service_loses_its_engines() -> None:
    world = settled(api_tier(), api_tier("far"))
    assert world.engines("far")
    world.change(api_tier(), external())
    world.settle()
    assert not world.engines("far")
    assert ("TierRemoved", "far") in world.actions()
    assert not [item for item in world.server.of_kind("ControllerRevision") if "-far-" in item["metadata"]["name"]]
    assert "eds-far.json" not in world.policy()
    # And the other way round.
    world.change(api_tier(), api_tier("far"))
    world.settle()
    assert world.engines("far")
    assert "externalTiers" not in world.status


def test_certificates_that_cannot_be_read_leave_out_the_tier_and_nothing_else(tmp_path: Path) -> None:
    good = issue(tmp_path, "far")["tls.crt"]
    world = settled(api_tier(), external(caBundle=good))
    broken = good.replace("MII", "NII", 1)
    world.change(api_tier(replicas={"min": 2}), external(caBundle=broken))
    world.ticks(20)
    accepted = world.condition("Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidCaBundle")
    assert "tier far: external.caBundle" in accepted["message"]
    assert world.condition("Stalled")["status"] == "True"
    assert tier_names(world) == ["small"]
    assert len(world.serving()) == 2
    world.change(api_tier(replicas={"min": 2}), external(caBundle=good))
    world.settle()
    assert tier_names(world) == ["small", "far"]


def test_a_cluster_whose_only_tier_is_refused_keeps_its_policy(tmp_path: Path) -> None:
    world = settled(external())
    before = dict(world.policy())
    world.change(external(caBundle="-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n"))
    world.ticks(3)
    assert world.condition("Accepted")["reason"] == "InvalidCaBundle"
    assert world.policy() == before


# --- steering ---------------------------------------------------------------------------------------------------------


def rates(offered: float, failed: float = 0.0, slow: float = 0.0) -> dict[TierSignal, float]:
    return {
        TierSignal.OFFERED: offered,
        TierSignal.TRIED: offered,
        TierSignal.FAILED: failed,
        TierSignal.ANSWERED: offered - failed,
        TierSignal.SLOW: slow,
    }


def watched(*tiers: dict[str, Any]) -> tuple[World, Figures]:
    world = settled(*tiers)
    metrics = Figures(world)
    world.ticks(13)
    return world, metrics


def test_its_metrics_are_never_missing() -> None:
    world, _ = watched(api_tier(), external())
    assert world.holds("MetricsAvailable")
    world, _ = watched(external())
    assert world.holds("MetricsAvailable")


def test_it_stands_in_for_a_tier_that_fails() -> None:
    world, metrics = watched(api_tier(), external())
    metrics.rates = {"small": rates(10.0, failed=9.0), "far": rates(1.0)}
    world.ticks(3)
    assert world.status["mode"] == "Escalated"
    assert [item["tier"] for item in world.status["fallback"]["escalations"]] == ["small"]
    chosen = json.loads(world.policy()["rds.json"])
    assert '"diverted_small"' in json.dumps(chosen)


@pytest.mark.parametrize("place", [0, 1])
def test_a_tier_of_engines_stands_in_for_it(place: int) -> None:
    tiers = [api_tier(), external()] if place else [external(), api_tier()]
    world, metrics = watched(*tiers)
    metrics.rates = {"small": rates(1.0), "far": rates(10.0, failed=9.0)}
    world.ticks(3)
    assert [item["tier"] for item in world.status["fallback"]["escalations"]] == ["far"]


def test_slow_answers_are_its_failure_as_nobody_knows_its_load() -> None:
    world, metrics = watched(external(), api_tier())
    metrics.rates = {"small": rates(1.0), "far": rates(10.0, slow=9.0)}
    world.ticks(3)
    assert [item["tier"] for item in world.status["fallback"]["escalations"]] == ["far"]


def test_it_is_never_scaled() -> None:
    world, metrics = watched(api_tier(replicas={"min": 1, "max": 4}), external())
    metrics.rates = {"small": rates(0.1), "far": rates(1e6)}
    metrics.cluster = {ClusterSignal.ROUTERS: 1.0}
    world.ticks(30)
    assert not [action for action, subject in world.actions() if subject == "far"]
    assert world.status["engines"] == "1/1"


PROBLEMS = [
    (TierSignal.KEY_REFUSED, "KeyRefused"),
    (TierSignal.NOT_FOUND, "ModelNotFound"),
    (TierSignal.UNREACHABLE, "Unreachable"),
]


@pytest.mark.parametrize(("signal", "reason"), PROBLEMS)
def test_why_it_does_not_answer_is_a_condition_until_it_does(signal: TierSignal, reason: str) -> None:
    world, metrics = watched(external(), api_tier())
    assert world.holds("ExternalTiersAnswer")
    metrics.rates = {"far": {signal: 1.0}}
    world.tick()
    found = world.condition("ExternalTiersAnswer")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert "tier far: https://far.example.com/v1" in found["message"]
    assert [item["problem"] for item in world.status["externalTiers"]] == [reason]
    assert [event.reason for event in world.events].count(reason) == 1
    # Neither silence nor the lack of metrics says that it is well again.
    metrics.rates = {}
    world.ticks(3)
    metrics.away = True
    world.ticks(3)
    world.restart_operator()
    world.tick()
    assert world.condition("ExternalTiersAnswer")["reason"] == reason
    metrics.away = False
    metrics.rates = {"far": {TierSignal.ANSWERED: 1.0}}
    world.tick()
    assert world.holds("ExternalTiersAnswer")
    assert "problem" not in world.status["externalTiers"][0]


def test_a_lost_connection_now_and_then_is_no_problem() -> None:
    world, metrics = watched(external(), api_tier())
    metrics.rates = {"far": {TierSignal.ANSWERED: 5.0, TierSignal.UNREACHABLE: 0.1}}
    world.tick()
    assert world.holds("ExternalTiersAnswer")
    # Of engines it says nothing here.
    metrics.rates = {"small": {TierSignal.UNREACHABLE: 5.0, TierSignal.KEY_REFUSED: 1.0}}
    world.tick()
    assert world.holds("ExternalTiersAnswer")


def test_newer_metrics_of_a_service_are_looked_at_at_once() -> None:
    world, metrics = watched(external(), api_tier())
    recheck = world.outcome().recheck
    calm = metrics()
    assert recheck is not None
    assert calm is not None
    assert not recheck.is_due(calm, world.now)
    metrics.rates = {"far": {TierSignal.KEY_REFUSED: 1.0}}
    troubled = metrics()
    assert troubled is not None
    assert recheck.is_due(troubled, world.now)


def test_clusters_of_engines_have_no_such_condition() -> None:
    assert "ExternalTiersAnswer" not in [item["type"] for item in settled(api_tier()).status["conditions"]]


# --- the types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://a.example.com", (True, "a.example.com", 443, "")),
        ("https://a.example.com/", (True, "a.example.com", 443, "")),
        ("http://b/v1", (False, "b", 80, "/v1")),
        ("http://10.1.2.3:8000/openai/v1/", (False, "10.1.2.3", 8000, "/openai/v1")),
        ("https://A.Example.com:65535/x", (True, "a.example.com", 65535, "/x")),
    ],
)
def test_urls(url: str, parts: tuple[bool, str, int, str]) -> None:
    found = ExternalService(url=url, model="m")
    assert (found.tls, found.host, found.port, found.path) == parts


@pytest.mark.parametrize(
    "url",
    [
        "far.example.com/v1",
        "ftp://far",
        "https://",
        "https://user:secret@far/v1",
        "https://far/v1?x=1",
        "https://far/v1#x",
        "https://far:0/",
        "https://far:65536/",
        "https://-far/",
        "https://far/a b",
        'https://far/"',
        "https://[::1]/",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        ExternalService(url=url, model="m")


def test_the_two_kinds_of_tiers_are_told_apart() -> None:
    parsed = spec(api_tier(), external())
    assert [tier.name for tier in parsed.engine_tiers] == ["small"]
    assert [tier.name for tier in parsed.external_tiers] == ["far"]
    assert isinstance(parsed.tiers[1], ExternalTier)
    again = HeteroLLMClusterSpec.model_validate(parsed.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert again == parsed


def test_a_cluster_migrates_from_a_service_to_engines_of_its_own() -> None:
    far = external(apiKeySecret=KEY)
    world = settled(api_tier(), far, migration={"mode": "Observe"})
    assert diverted(world) == 100
    Figures(world)
    world.ticks(3)
    moving = {"mode": "Auto", "steps": [20, 100]}
    world.change(api_tier(), far, migration=moving)
    world.ticks(3)
    assert (diverted(world), world.status["migration"]["percent"]) == (80, 20)
    # While the routers have not mounted another key, nobody answers in place of the small tier; then it goes on.
    world.controllers.routers_start = False
    other = external(apiKeySecret={**KEY, "name": "other"})
    world.change(api_tier(), other, migration=moving)
    world.ticks(3)
    assert tier_names(world) == ["small"]
    assert world.status["migration"]["percent"] == 20
    world.controllers.routers_start = True
    world.settle()
    assert (diverted(world), world.status["migration"]["percent"]) == (80, 20)
