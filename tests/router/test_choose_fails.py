"""When no tier can be chosen, because the filter itself fails, the last tier answers, and the metrics show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from heterollm_controllers.routing import envoy_files
from tests.router.agent import Agent
from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.test_metrics import reaches

BROKEN = "function envoy_on_request(handle) error('the scorer fails') end"


def broken(tiers: Any) -> Mapping[str, object]:
    """The listener's filters with a choose filter that fails."""
    (listener,) = json.loads(envoy_files(tiers, 1)["lds.json"])["resources"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    for item in manager["http_filters"]:
        if item["name"] == "choose":
            item["typed_config"]["default_source_code"] = {"inline_string": BROKEN}
    return {"http_filters": manager["http_filters"]}


async def test_the_last_tier_answers_and_it_is_counted() -> None:
    async with Engine("s0") as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large))
        async with (
            Envoy(tiers, manager=broken(tiers)) as envoy,
            envoy.session() as client,
            Agent(envoy.policy_dir, admin=envoy.admin_url) as agent,
        ):
            for _ in range(3):
                answer = await client.post("/v1/chat/completions", json=chat())
                assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")
            seen = await reaches(agent, 3, "requests_total", heterollm_tier="large")
            assert seen.of("requests_total", wanted_tier="", code="200", heterollm_tier="large") == 3
            assert small.requests == []
