"""The rendered files: the same for the same policy, accepted by Envoy, and no name can change their shape."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterollm_agent.policy import parse
from heterollm_controllers.routing import Change, Endpoint, Retries, RoutingPolicy, TierRoute, envoy_files
from tests.router.envoy import BINARY, UNGUARDED, relocate

endpoints = st.builds(
    Endpoint,
    pod=st.from_regex(r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?", fullmatch=True),
    address=st.ip_addresses(v=4).map(str),
    port=st.integers(1, 65535),
)
tiers = st.lists(
    st.builds(
        TierRoute,
        name=st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True).filter(lambda name: name != "auto"),
        # Anything at all: model ids are the users' text, and the one place where something could be injected.
        model_id=st.text(min_size=1, max_size=60),
        endpoints=st.lists(endpoints, max_size=5, unique_by=lambda endpoint: endpoint.pod).map(tuple),
        max_requests=st.integers(1, 1_000_000),
        diverted_percent=st.integers(0, 100),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda tier: tier.name,
)
retries = st.builds(
    Retries,
    limit=st.integers(0, 3),
    deadline=st.floats(1, 86_400),
    budget_percent=st.integers(0, 100),
    changes=st.lists(
        st.builds(
            Change,
            temperature=st.none() | st.floats(0, 2),
            max_tokens_factor=st.none() | st.floats(0, 2),
            new_seed=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
    change_on_every_failure=st.booleans(),
    check_quality=st.booleans(),
)
policies = st.builds(
    RoutingPolicy,
    cluster=st.from_regex(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?", fullmatch=True),
    tiers=tiers.map(tuple),
    complexity_threshold=st.floats(0, 1),
    retries=retries,
    routers=st.integers(1, 20),
)
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
        *(f"eds-{t.name}.json" for t in policy.tiers),
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
    changed = replace(first, endpoints=(*first.endpoints, Endpoint("new", "10.0.0.1", 30000)))
    before, after = envoy_files(policy, 1), envoy_files(replace(policy, tiers=(changed, *others)), 2)
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
    shares = [_shares(route["route"]) for route in _tier_routes(files)]
    if len(policy.tiers) == 1:
        assert shares == [{f"route_{policy.tiers[0].name}": 100}]
        return
    for tier, share in zip(policy.tiers, shares, strict=True):
        steps = _steps(files, f"diverted_{tier.name}")
        assert steps[0] == policy.tiers[-2 if tier is policy.tiers[-1] else -1].name
        assert tier.name in steps
        expected = {f"route_{tier.name}": 100 - tier.diverted_percent, f"diverted_{tier.name}": tier.diverted_percent}
        assert share == {name: percent for name, percent in expected.items() if percent}


def _tier_routes(files: dict[str, str]) -> list[Any]:
    (routes,) = resources(files, "rds.json")
    return [route for route in routes["virtual_hosts"][0]["routes"] if "route" in route]


def _shares(action: dict[str, Any]) -> dict[str, int]:
    """Percent of a route's requests by Envoy cluster."""
    if "cluster" in action:
        return {action["cluster"]: 100}
    return {one["name"]: one["weight"] for one in action["weighted_clusters"]["clusters"]}


def _steps(files: dict[str, str], cluster: str) -> list[str]:
    """The tiers that serve the attempts."""
    clusters = {found["name"]: found for found in resources(files, "cds.json")}
    entries = [entry["name"] for entry in clusters[cluster]["cluster_type"]["typed_config"]["clusters"]]
    assert clusters.keys() >= set(entries)
    return [entry.removeprefix("tier_") for entry in entries]


edges = st.fixed_dictionaries(
    {
        "reserved_percent": st.integers(0, 90),
        # Names of a Secret's entries, but nobody keeps a user from writing anything else.
        "reserved_clients": st.lists(
            st.text(min_size=1, max_size=253) | st.from_regex("[-._a-zA-Z0-9]{200,253}", fullmatch=True), max_size=64
        ).map(tuple),
        "trust_headers": st.booleans(),
        "routers": st.integers(1, 64),
        "body_limit": st.integers(1 << 20, 256 << 20),
    }
)


@settings(FEW, max_examples=10)
@given(policies, edges)
def test_envoy_accepts_every_policy(
    tmp_path_factory: pytest.TempPathFactory, policy: RoutingPolicy, edges: dict[str, Any]
) -> None:
    _validate(tmp_path_factory.mktemp("policy"), replace(policy, **edges))


def test_envoy_would_refuse_a_wrong_one(tmp_path: Path) -> None:
    wrong = RoutingPolicy("c", (TierRoute("small", "m", (), max_requests=1 << 32),))
    with pytest.raises(subprocess.CalledProcessError):
        _validate(tmp_path, wrong)


def _validate(directory: Path, policy: RoutingPolicy) -> None:
    """Dynamic files are read only by a running Envoy, so their resources are put into a static configuration."""
    files = {name: relocate(text, directory) for name, text in envoy_files(policy, 1).items()}
    for place, texts in (("policy", files), ("keys", UNGUARDED)):
        (directory / place).mkdir()
        for name, text in texts.items():
            (directory / place / name).write_text(text)
    (listener,) = resources(files, "lds.json")
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    (manager["route_config"],) = (_bare(route) for route in resources(files, "rds.json"))
    static = {
        "node": {"id": "router", "cluster": "router"},
        "static_resources": {
            "listeners": [_bare(listener)],
            "clusters": [_bare(cluster) for cluster in resources(files, "cds.json")],
        },
    }
    (directory / "static.json").write_text(json.dumps(static))
    command = [str(BINARY), "--mode", "validate", "-c", str(directory / "static.json"), "--log-level", "error"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def _bare(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "@type"}
