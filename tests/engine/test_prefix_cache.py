"""The prefix cache: what is cached, what it saves, what is dropped first."""

import pytest

from simulated_engine.prefix_cache import BLOCK_TOKENS, PrefixCache

from .conftest import EngineClient, Factory

WITH_CACHE = ("--sim-prefix-cache-tokens", "100000", "--enable-cache-report")


def text(name: str, blocks: int) -> str:
    """A prompt of so many blocks."""
    return "".join(f"{name}{number:<255}" for number in range(blocks))


def test_a_common_beginning_is_found_and_nothing_else() -> None:
    cache = PrefixCache(100 * BLOCK_TOKENS)
    assert cache.read(text("a", 4)) == 0
    assert cache.read(text("a", 4)) == 4 * BLOCK_TOKENS
    assert cache.read(text("a", 2) + text("b", 2)) == 2 * BLOCK_TOKENS
    assert cache.read(text("b", 4)) == 0, "the same text elsewhere in a prompt is not the same"


def test_half_a_block_is_not_kept() -> None:
    cache = PrefixCache(100 * BLOCK_TOKENS)
    prompt = text("a", 1) + "half"
    cache.read(prompt)
    assert cache.read(prompt) == BLOCK_TOKENS


def test_what_was_not_used_for_longest_is_dropped_first_and_ends_before_beginnings() -> None:
    cache = PrefixCache(4 * BLOCK_TOKENS)
    cache.read(text("a", 3))
    cache.read(text("b", 2))
    assert cache.read(text("a", 3)) == 2 * BLOCK_TOKENS
    assert cache.read(text("b", 2)) == BLOCK_TOKENS


def test_a_prompt_larger_than_the_cache_keeps_its_beginning() -> None:
    cache = PrefixCache(2 * BLOCK_TOKENS)
    cache.read(text("a", 5))
    assert cache.read(text("a", 5)) == 2 * BLOCK_TOKENS


async def cached(client: EngineClient, prompt: str) -> int:
    """Tokens that the answer says were cached."""
    answer = await (await client.chat(prompt)).json()
    found: int = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    return found


async def test_the_answer_and_the_metrics_tell_it_and_flushing_forgets_it(engine: Factory) -> None:
    client = await engine(*WITH_CACHE)
    assert [await cached(client, text("a", 3)) for _ in range(2)] == [0, 3 * BLOCK_TOKENS]
    metrics = await (await client.get("/metrics")).text()
    (line,) = [line for line in metrics.splitlines() if line.startswith("sglang:cached_tokens_total")]
    assert float(line.rsplit(" ", 1)[1]) == 3 * BLOCK_TOKENS
    await client.post("/flush_cache")
    assert await cached(client, text("a", 3)) == 0


async def test_without_the_options_there_is_no_cache_and_no_report(engine: Factory) -> None:
    client = await engine("--enable-cache-report")
    assert [await cached(client, text("a", 3)) for _ in range(2)] == [0, 0]
    silent = await engine("--sim-prefix-cache-tokens", "100000")
    answer = await (await silent.chat(text("a", 3))).json()
    assert answer["usage"]["prompt_tokens_details"] is None


async def test_a_cached_prompt_gets_its_first_token_sooner(engine: Factory) -> None:
    client = await engine(*WITH_CACHE, "--sim-ttft-p50-ms", "10", "--sim-ttft-p99-ms", "10")
    first_token = client.engine.counters.modes[False].time_to_first_token
    await client.chat(text("a", 50))
    cold = first_token.total
    await client.chat(text("a", 50))
    assert first_token.total - cold == pytest.approx(cold * 0.1, rel=0.5)
