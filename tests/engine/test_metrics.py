"""/metrics under SGLang's names, kinds and labels."""

from collections.abc import Iterator

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from simulated_engine import application
from simulated_engine.config import from_words
from simulated_engine.engine import Engine

from .conftest import EngineClient, Factory

TOKENIZER = {"model_name", "engine_type"}
SCHEDULER = {*TOKENIZER, "tp_rank", "pp_rank", "moe_ep_rank"}
EXTRA = {"heterollm_tier", "engine"}

SGLANG = {
    # Facts of release 0.5.23: name in the exposition, kind, labels.
    **{
        f"sglang:{name}": ("gauge", SCHEDULER)
        for name in (
            *("num_running_reqs", "num_queue_reqs", "num_grammar_queue_reqs", "num_retracted_reqs"),
            *("num_paused_reqs", "token_usage", "num_used_tokens", "kv_used_tokens", "kv_available_tokens"),
            *("kv_evictable_tokens", "cache_hit_rate", "gen_throughput", "utilization", "max_total_num_tokens"),
            *("weight_memory_usage_gb", "kv_cache_memory_usage_gb", "context_len", "page_size"),
        )
    },
    "sglang:queue_time_seconds": ("histogram", SCHEDULER),
    "sglang:prompt_tokens": ("counter", {*TOKENIZER, "is_streaming"}),
    "sglang:generation_tokens": ("counter", {*TOKENIZER, "is_streaming"}),
    "sglang:num_requests": ("counter", {*TOKENIZER, "is_streaming"}),
    "sglang:num_aborted_requests": ("counter", TOKENIZER),
    "sglang:cached_tokens": ("counter", {*TOKENIZER, "cache_source"}),
    "sglang:time_to_first_token_seconds": ("histogram", {*TOKENIZER, "is_streaming"}),
    "sglang:request_time_per_output_token_seconds": ("histogram", {*TOKENIZER, "is_streaming"}),
    "sglang:e2e_request_latency_seconds": ("histogram", {*TOKENIZER, "is_streaming"}),
    "sglang:inter_token_latency_seconds": ("histogram", TOKENIZER),
    "sglang:prompt_tokens_histogram": ("histogram", TOKENIZER),
    "sglang:generation_tokens_histogram": ("histogram", TOKENIZER),
}


async def scrape(client: EngineClient) -> str:
    response = await client.get("/metrics")
    assert response.status == 200
    return await response.text()


def samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def value(text: str, name: str, **labels: str) -> float:
    """The value of the one sample with this name and these labels."""
    found = [
        sample.value for sample in samples(text) if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


async def test_names_kinds_and_labels_are_sglang_s(engine: Factory) -> None:
    client = await engine()
    text = await scrape(client)
    found = {
        family.name: (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for family in text_string_to_metric_families(text)
    }
    assert found == {name: (kind, labels | EXTRA) for name, (kind, labels) in SGLANG.items()}


async def test_label_values(engine: Factory) -> None:
    client = await engine()
    labels = next(sample.labels for sample in samples(await scrape(client)) if "queue_reqs" in sample.name)
    assert labels == {
        "model_name": "Qwen/Qwen3-4B",
        "engine_type": "unified",
        "tp_rank": "0",
        "pp_rank": "0",
        "moe_ep_rank": "0",
        "heterollm_tier": "small",
        "engine": "demo-small-0",
    }


async def test_requests_are_counted_by_kind(engine: Factory) -> None:
    client = await engine()
    for _ in range(2):
        await client.chat(max_tokens=4, ignore_eos=True)
    await (await client.chat(max_tokens=3, ignore_eos=True, stream=True)).read()
    text = await scrape(client)
    assert value(text, "sglang:num_requests_total", is_streaming="false") == 2
    assert value(text, "sglang:num_requests_total", is_streaming="true") == 1
    assert value(text, "sglang:generation_tokens_total", is_streaming="false") == 8
    assert value(text, "sglang:time_to_first_token_seconds_count", is_streaming="true") == 1
    assert value(text, "sglang:inter_token_latency_seconds_count") == 2 * 3 + 2
    assert value(text, "sglang:queue_time_seconds_count") == 3


async def test_gauges_show_the_present(engine: Factory) -> None:
    client = await engine("--max-total-tokens", "1000", "--sim-tpot-ms", "100000")
    response = await client.chat("x" * 384, stream=True)
    await response.content.readuntil(b"\n\n")
    text = await scrape(client)
    assert value(text, "sglang:num_running_reqs") == 1
    # 96 tokens of text, 4 of the chat template, and the first one of the answer.
    assert value(text, "sglang:kv_used_tokens") == 101
    assert value(text, "sglang:kv_available_tokens") == 899
    assert value(text, "sglang:token_usage") == 0.101
    response.close()


async def test_buckets_can_be_set(engine: Factory) -> None:
    client = await engine("--bucket-time-to-first-token", "0.01", "0.05")
    await client.chat()
    buckets = {
        sample.labels["le"]: sample.value
        for sample in samples(await scrape(client))
        if sample.name == "sglang:time_to_first_token_seconds_bucket" and sample.labels["is_streaming"] == "false"
    }
    assert buckets == {"0.01": 1, "0.05": 1, "+Inf": 1}


async def test_there_are_none_unless_asked_for() -> None:
    silent = application.leader(Engine(from_words(["--model-path", "m"])))
    async with TestClient(TestServer(silent)) as client:
        assert (await client.get("/metrics")).status == 404
