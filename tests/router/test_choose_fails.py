"""When no tier can be chosen, because the filter itself fails, the last tier answers, and the metrics show it."""

from __future__ import annotations

import shutil
from pathlib import Path

from e2e.cluster.router_module import MODULE, ensure_module
from tests.router.agent import Agent
from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.test_metrics import reaches


def failing(directory: Path) -> Path:
    """The module with a mistake in it: whatever is asked, its reader panics."""
    package = shutil.copytree(MODULE, directory / "module", ignore=shutil.ignore_patterns("target"))
    file = package / "src" / "protocol" / "request.rs"
    begin = "pub fn parse(body: &[u8]) -> Option<RequestFeatures<'_>> {\n"
    text = file.read_text(encoding="utf-8")
    assert begin in text
    file.write_text(text.replace(begin, begin + '    assert!(body.is_empty(), "a mistake");\n'), encoding="utf-8")
    return ensure_module(package=package)


async def test_the_last_tier_answers_and_it_is_counted(tmp_path: Path) -> None:
    async with Engine("s0") as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large))
        async with (
            Envoy(tiers, module=failing(tmp_path)) as envoy,
            envoy.session() as client,
            Agent(envoy.policy_dir, admin=envoy.admin_url) as agent,
        ):
            for _ in range(3):
                answer = await client.post("/v1/chat/completions", json=chat())
                assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")
            seen = await reaches(agent, 3, "requests_total", heterollm_tier="large")
            assert seen.of("requests_total", wanted_tier="", code="200", heterollm_tier="large") == 3
            assert small.requests == []
            assert "a filter has failed" in envoy.log()
