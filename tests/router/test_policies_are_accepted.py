"""Envoy accepts every policy that a spec can ask for, and no name can change the policy's shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heterollm_agent.policy import parse
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import RoutingPolicy, TierRoute
from tests.router import validation
from tests.router.policies import generated
from tests.router.validation import complaint, remarks

MANY = int(os.environ.get("POLICIES", "100"))
"""Policies looked at; 10,000 take some minutes."""
BATCH = 200

ONE = RoutingPolicy("demo", (TierRoute("small", "model", ()),))


@pytest.mark.parametrize("count", [min(BATCH, MANY - start) for start in range(0, MANY, BATCH)])
def test_envoy_accepts_generated_policies(tmp_path: Path, count: int) -> None:
    policies = generated(count)
    assert len(policies) == count
    for policy in policies:
        parse({**envoy_files(policy, 1), "version": "1"}, None)
    if complaint(tmp_path, policies):
        refused = {repr(policy): text for policy in policies if (text := complaint(tmp_path, [policy]))}
        pytest.fail("\n".join(f"{policy}: {text}" for policy, text in refused.items()) or "only together")


def test_the_module_is_made_for_the_interface_of_this_envoy(tmp_path: Path) -> None:
    # Of another version it only warns.
    assert "Dynamic module ABI version v0.2.0 matched." in remarks(tmp_path, ONE)


def test_one_wrong_policy_among_many_is_noticed(tmp_path: Path) -> None:
    wrong = RoutingPolicy("demo", (TierRoute("small", "model", (), max_requests=1 << 32),))
    assert complaint(tmp_path, [ONE, ONE]) == ""
    assert "max_requests" in complaint(tmp_path, [ONE, wrong, ONE])


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"lb_policy":', '"lb_policies":', "lb_policies"),
        ('"MAGLEV"', '"MAGLEVS"', "MAGLEVS"),
        ('{"cluster":"route_small"', '{"cluster":"route_smalls"', "route_smalls"),
        ('"num_retries":', '"num_retry":', "num_retry"),
        ('"per_route_config_name":', '"per_route_config":', "per_route_config"),
        # By the module itself.
        ('"threshold":0.7', '"threshold":"0.7"', "dynamic module"),
    ],
)
def test_it_is_noticed_what_envoy_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, said: str
) -> None:
    def mistaken(policy: RoutingPolicy, version: int) -> dict[str, str]:
        files = envoy_files(policy, version)
        assert any(right in text for text in files.values())
        return {name: text.replace(right, wrong) for name, text in files.items()}

    monkeypatch.setattr(validation, "envoy_files", mistaken)
    assert said in complaint(tmp_path, [ONE])
