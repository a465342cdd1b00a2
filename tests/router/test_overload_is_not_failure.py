"""Fact 1: an engine whose queue is full is not a broken engine."""

from __future__ import annotations

from tests.router.engine import Engine, error, ok, queue_full
from tests.router.envoy import Envoy, chat, policy, tier


async def test_a_full_queue_is_answered_429_without_ejection_or_spill() -> None:
    async with Engine("s0", queue_full) as first, Engine("s1", queue_full) as second, Engine("l0") as large:
        tiers = policy(tier("small", first, second), tier("large", large))
        async with Envoy(tiers) as envoy, envoy.session() as client:
            for number in range(30):
                answer = await client.post("/v1/chat/completions", json=chat(f"question {number}"))
                assert answer.status == 429
                assert answer.headers["retry-after"] == "1"
                assert (await answer.json())["error"]["code"] == "overloaded"
            ejections = await envoy.stats("ejections_(active|enforced_total)$")
            assert ejections
            assert set(ejections.values()) == {0}
            assert len(first.requests) + len(second.requests) == 30, "an overload answer must not be retried"
            assert not large.requests

            first.answer = second.answer = ok
            answer = await client.post("/v1/chat/completions", json=chat())
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "small")


async def test_a_real_503_is_retried_and_ejected() -> None:
    """The other side of the fact: what is not a full queue still counts as failure."""
    async with Engine("s0", error) as small, Engine("s1") as other:
        tiers = policy(tier("small", small, other))
        async with Envoy(tiers) as envoy, envoy.session() as client:
            for number in range(40):
                answer = await client.post("/v1/chat/completions", json=chat(f"question {number}"))
                assert (answer.status, (await answer.json())["model"]) == (200, "s1")
            assert (await envoy.stats("tier_small.outlier_detection.ejections_active"))[
                "cluster.tier_small.outlier_detection.ejections_active"
            ] == 1
            # Five that the other engine answered, and the one that shows it.
            assert len(small.requests) == 6
