"""Which headers of clients count, and that no client can say what only the router says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from tests.router.engine import Engine
from tests.router.envoy import chat
from tests.router.two_tiers import TwoTiers

OURS = ("x-llm-tier", "x-llm-prefix", "x-llm-score", "x-llm-attempts", "x-llm-policy-version")
"""Headers that are the router's own."""
COMPLEX = "Prove step by step that ∑ 1/n² = π²/6. ```():```"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _forging(engine: Engine, request: web.Request) -> web.StreamResponse:
    answer = {"choices": [{"message": {"content": engine.name}}]}
    return web.json_response(answer, headers=dict.fromkeys(OURS, "forged"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trusting() -> AsyncIterator[TwoTiers]:
    """A router behind a gateway that sets or removes headers."""
    async with TwoTiers(_forging, _forging, trust_headers=True) as router:
        yield router


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router() -> AsyncIterator[TwoTiers]:
    """A router as it is by default."""
    async with TwoTiers(_forging, _forging, trust_headers=False) as untrusting:
        yield untrusting


async def test_a_trusted_tier_beats_the_model_and_the_score(trusting: TwoTiers) -> None:
    assert await trusting.tier_of(chat(model="small"), tier="large") == "large"
    assert await trusting.tier_of(chat(COMPLEX), tier="small") == "small"
    assert await trusting.tier_of({"messages": []}, tier="large") == "large"


@pytest.mark.parametrize("name", ["huge", "", "auto", "small,large", "model/small"])
async def test_a_trusted_tier_that_does_not_exist_is_refused(trusting: TwoTiers, name: str) -> None:
    answer = await trusting.post(chat(), tier=name)
    error = (await answer.json())["error"]
    assert (answer.status, error["type"], error["code"]) == (404, "invalid_request_error", "model_not_found")


async def test_an_untrusted_tier_is_not_obeyed(router: TwoTiers) -> None:
    for name in ("large", "huge", ""):
        assert await router.tier_of(chat("hello"), tier=name) == "small"
        assert await router.tier_of(chat(model="small"), tier=name) == "small"


async def test_a_hint_steers_what_the_score_would_decide_and_nothing_else(router: TwoTiers, trusting: TwoTiers) -> None:
    for each in (router, trusting):
        assert await each.tier_of(chat("hello"), hint="plan") == "large"
        assert await each.tier_of(chat(COMPLEX), hint="act") == "small"
        assert await each.tier_of(chat(COMPLEX), hint="whatever") == "large"
        assert await each.tier_of(chat("hello"), hint="") == "small"
        assert await each.tier_of(chat(model="small"), hint="plan") == "small"
        assert await each.tier_of(chat(model="model/large"), hint="act") == "large"
    assert await trusting.tier_of(chat(), hint="plan", tier="small") == "small"


async def test_a_score_is_said_only_where_it_decided(router: TwoTiers) -> None:
    assert "x-llm-score" in (await router.post(chat())).headers
    assert "x-llm-score" not in (await router.post(chat(model="small"))).headers
    assert "x-llm-score" not in (await router.post(chat(), hint="plan")).headers


async def test_engines_and_clients_never_see_forged_headers(router: TwoTiers, trusting: TwoTiers) -> None:
    for each in (router, trusting):
        answer = await each.post(chat(model="small"), **{name.removeprefix("x-llm-"): "small" for name in OURS})
        told = {name: value for name, value in answer.headers.items() if name.startswith("x-llm-")}
        assert told == {"x-llm-tier": "small", "x-llm-policy-version": "1", "x-llm-attempts": "1"}
        assert not [name for name in each.small.headers[-1] if name.startswith("x-llm-")]


async def test_what_the_router_itself_answers_says_no_forged_header_either(router: TwoTiers) -> None:
    answer = await router.post({"model": "none"}, **{name.removeprefix("x-llm-"): "forged" for name in OURS})
    assert answer.status == 404
    assert "forged" not in answer.headers.values()
