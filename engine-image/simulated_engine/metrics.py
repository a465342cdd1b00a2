"""/metrics: SGLang's Prometheus names and labels, computed from the engine when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .config import Config
from .counters import BY_STREAMING, ModeCounters
from .engine import Engine
from .histogram import Histogram

__all__ = ["registry"]

BYTES_PER_KV_TOKEN = 73_728
"""Qwen3-4B's at TP 2 in bf16: two bytes x two (K and V) x 128 x 4 heads x 36 layers."""

GIB = 2**30


def registry(engine: Engine) -> CollectorRegistry:
    """A registry that shows this engine."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_EngineCollector(engine))
    return found


class _EngineCollector(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        tokenizer = {"model_name": engine.config.identity.model, "engine_type": "unified"}
        ranks = {"tp_rank": "0", "pp_rank": "0", "moe_ep_rank": "0"}
        self._tokenizer_labels = {**tokenizer, **engine.config.metric_labels}
        self._scheduler_labels = {**tokenizer, **ranks, **engine.config.metric_labels}

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()
        yield from self._histograms()

    def _gauges(self) -> Iterator[Metric]:
        labels = self._scheduler_labels
        for name, (description, value) in _gauge_values(self._engine).items():
            family = GaugeMetricFamily(f"sglang:{name}", description, labels=list(labels))
            family.add_metric(list(labels.values()), value)
            yield family

    def _counters(self) -> Iterator[Metric]:
        counters = self._engine.counters
        yield self._by_mode("prompt_tokens", "Prefill tokens processed.", lambda mode: mode.prompt_tokens)
        yield self._by_mode("generation_tokens", "Tokens generated.", lambda mode: mode.generation_tokens)
        yield self._by_mode("num_requests", "Requests finished.", lambda mode: mode.requests)
        labels = self._tokenizer_labels
        aborted = CounterMetricFamily("sglang:num_aborted_requests", "Requests aborted.", labels=list(labels))
        aborted.add_metric(list(labels.values()), counters.aborted)
        yield aborted
        cached = CounterMetricFamily(
            "sglang:cached_tokens",
            "Prompt tokens taken from the cache.",
            labels=[*labels, "cache_source"],
        )
        cached.add_metric([*labels.values(), "device"], counters.cached_tokens)
        yield cached

    def _histograms(self) -> Iterator[Metric]:
        counters = self._engine.counters
        yield self._modes("time_to_first_token_seconds", lambda mode: mode.time_to_first_token)
        yield self._modes("request_time_per_output_token_seconds", lambda mode: mode.time_per_output_token)
        yield self._modes("e2e_request_latency_seconds", lambda mode: mode.e2e_latency)
        plain = self._tokenizer_labels
        yield _histogram("inter_token_latency_seconds", plain, counters.inter_token_latency)
        yield _histogram("prompt_tokens_histogram", plain, counters.prompt_length)
        yield _histogram("generation_tokens_histogram", plain, counters.generation_length)
        yield _histogram("queue_time_seconds", self._scheduler_labels, counters.queue_time)

    def _by_mode(self, name: str, description: str, value: Callable[[ModeCounters], float]) -> Metric:
        labels = self._tokenizer_labels
        family = CounterMetricFamily(f"sglang:{name}", description, labels=[*labels, "is_streaming"])
        for text, streaming in BY_STREAMING.items():
            family.add_metric([*labels.values(), text], value(self._engine.counters.modes[streaming]))
        return family

    def _modes(self, name: str, histogram: Callable[[ModeCounters], Histogram]) -> Metric:
        labels = self._tokenizer_labels
        family = HistogramMetricFamily(f"sglang:{name}", _seconds(name), labels=[*labels, "is_streaming"])
        for text, streaming in BY_STREAMING.items():
            found = histogram(self._engine.counters.modes[streaming])
            family.add_metric([*labels.values(), text], found.cumulative(), found.total)
        return family


def _histogram(name: str, labels: Mapping[str, str], histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"sglang:{name}", _seconds(name), labels=list(labels))
    family.add_metric(list(labels.values()), histogram.cumulative(), histogram.total)
    return family


def _seconds(name: str) -> str:
    return f"Histogram of {name.replace('_', ' ')} (simulated)."


def _gauge_values(engine: Engine) -> dict[str, tuple[str, float]]:
    scheduler = engine.scheduler
    profile = engine.config.profile
    used = scheduler.kv_used_tokens
    return {
        "num_running_reqs": ("Running requests.", scheduler.running),
        "num_queue_reqs": ("Requests in the waiting queue.", scheduler.queued),
        "num_grammar_queue_reqs": ("Requests waiting for a grammar.", 0),
        "num_retracted_reqs": ("Retracted requests.", 0),
        "num_paused_reqs": ("Paused requests.", scheduler.running if scheduler.paused else 0),
        "token_usage": ("Share of KV memory used.", used / profile.kv_tokens),
        "num_used_tokens": ("Tokens used.", used),
        "kv_used_tokens": ("KV tokens used.", used),
        "kv_available_tokens": ("KV tokens free.", profile.kv_tokens - used),
        "kv_evictable_tokens": ("KV tokens that could be evicted.", 0),
        "cache_hit_rate": ("Prefix cache hit rate.", 0.0),
        "gen_throughput": ("Tokens generated per second.", scheduler.tokens_per_second),
        # SGLang 0.5.23 never sets it: its denominator has no setter.
        "utilization": ("Utilization.", 0.0),
        **_constants(engine.config),
    }


def _constants(config: Config) -> dict[str, tuple[str, float]]:
    tokens = config.profile.kv_tokens
    return {
        "max_total_num_tokens": ("KV tokens in all.", tokens),
        "weight_memory_usage_gb": ("Memory of weights, GB (simulated).", 0.0),
        "kv_cache_memory_usage_gb": ("Memory of the KV pool, GB.", tokens * BYTES_PER_KV_TOKEN / GIB),
        "context_len": ("Context length in tokens.", config.context_length),
        "page_size": ("Tokens per page.", 1),
    }
