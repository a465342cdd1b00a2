"""The simulator's configuration, from SGLang's options and the simulation's own ``--sim-*`` options."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .command_line import CommandLineError, Options, parse
from .faults import FaultPlan
from .performance import PROFILES, Profile

__all__ = ["SIMULATION_HELP", "Buckets", "Config", "Identity", "Node", "Secrets", "from_words"]

SIMULATION_HELP = """\
Simulation options (all others are SGLang's; those without a meaning here are accepted and shown by /server_info):
  --sim-profile NAME         small (default) or large: the reference tiers; instant: no latency
  --sim-ttft-p50-ms MS       median time to first token
  --sim-ttft-p99-ms MS       its 99th percentile
  --sim-tpot-ms MS           time per output token
  --sim-rps N                requests started per second at most, 0 for no limit
  --sim-output-tokens N      mean answer length when the request leaves it open (default 32)
  --sim-prefix-cache-tokens N  prompt tokens whose beginnings are kept, 0 (default) for no prefix cache
  --sim-time-scale F         multiplies every time, divides the rate (default 1)
  --sim-startup-seconds S    from joined ranks to ready, times the time scale (default 1)
  --sim-seed N               seed of every draw (default 0; SGLang's --random-seed is used when this is absent)
  --sim-tier NAME            tier named in answers (default: label "heterollm_tier" of --extra-metric-labels)
  --sim-engine NAME          engine named in answers (default: label "engine", else the host name)
  --sim-fault JSON           fault plan, {} for none; enables POST /sim/faults
"""

TTFT_BUCKETS = (0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400)
ITL_BUCKETS = (
    *(0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060, 0.080),
    *(0.100, 0.200, 0.400, 0.600, 0.800, 1, 2, 4, 6, 8),
)
E2E_BUCKETS = (*TTFT_BUCKETS, 600, 1200, 1800, 2400)


@dataclass(frozen=True)
class Buckets:
    """Upper bounds of the latency histograms, in seconds; the defaults are SGLang's."""

    time_to_first_token: tuple[float, ...]
    inter_token_latency: tuple[float, ...]
    e2e_request_latency: tuple[float, ...]


@dataclass(frozen=True)
class Identity:
    """Who answers."""

    model: str
    tier: str
    engine: str


@dataclass(frozen=True)
class Node:
    """This process's place in an engine of several nodes."""

    rank: int
    count: int
    leader_host: str
    leader_port: int
    join_timeout: float
    """Seconds to wait for the other ranks."""


@dataclass(frozen=True, repr=False)
class Secrets:
    """Keys that requests must carry; empty means open."""

    api_key: str
    admin_api_key: str


@dataclass(frozen=True)
class Config:
    """Everything the process needs. Times in seconds, already scaled."""

    options: Options
    launch_command: str
    host: str
    port: int
    model_path: str
    identity: Identity
    node: Node
    secrets: Secrets
    profile: Profile
    context_length: int
    max_queued_requests: int | None
    output_tokens: int
    prefix_cache_tokens: int
    cache_report: bool
    """Whether answers say how many prompt tokens were cached."""
    time_scale: float
    startup_seconds: float
    seed: int
    metrics: bool
    metric_labels: dict[str, str]
    buckets: Buckets
    faults: FaultPlan | None


def from_words(words: Sequence[str]) -> Config:
    """Build the configuration from the command line's words; raises ValueError with a message for the user."""
    options = parse(words)
    model_path = options.text("model_path")
    if not model_path:
        raise CommandLineError("--model-path is required")
    labels = _labels(options)
    scale = options.number("sim_time_scale", 1.0)
    fault = options.text("sim_fault")
    return Config(
        options=options,
        launch_command=_redacted(words),
        host=options.text("host", "127.0.0.1"),
        port=options.integer("port", 30000),
        model_path=model_path,
        identity=Identity(
            model=options.text("served_model_name") or model_path,
            tier=options.text("sim_tier") or labels.get("heterollm_tier", "unknown"),
            engine=options.text("sim_engine") or labels.get("engine") or socket.gethostname(),
        ),
        node=_node(options),
        secrets=Secrets(options.text("api_key"), options.text("admin_api_key")),
        profile=_profile(options, scale),
        context_length=options.integer("context_length", 40_960, minimum=1),
        max_queued_requests=_optional(options, "max_queued_requests"),
        output_tokens=options.integer("sim_output_tokens", 32, minimum=1),
        prefix_cache_tokens=options.integer("sim_prefix_cache_tokens", 0),
        cache_report=options.has("enable_cache_report"),
        time_scale=scale,
        startup_seconds=options.number("sim_startup_seconds", 1.0) * scale,
        seed=options.integer("sim_seed", options.integer("random_seed", 0)),
        metrics=options.has("enable_metrics"),
        metric_labels=labels,
        buckets=Buckets(
            options.numbers("bucket_time_to_first_token", TTFT_BUCKETS),
            options.numbers("bucket_inter_token_latency", ITL_BUCKETS),
            options.numbers("bucket_e2e_request_latency", E2E_BUCKETS),
        ),
        faults=FaultPlan.parse(fault) if fault else None,
    )


def _optional(options: Options, name: str) -> int | None:
    return options.integer(name, 0) if options.has(name) else None


def _profile(options: Options, scale: float) -> Profile:
    name = options.text("sim_profile", "small")
    if name not in PROFILES:
        raise CommandLineError(f"--sim-profile must be one of {sorted(PROFILES)}, got {name!r}")
    base = PROFILES[name]
    rate = options.number("sim_rps", base.requests_per_second)
    p50 = options.number("sim_ttft_p50_ms", base.ttft_p50 * 1000)
    # A median given alone moves the tail with it.
    spread = base.ttft_p99 / base.ttft_p50 if base.ttft_p50 else 1.0
    p99 = options.number("sim_ttft_p99_ms", p50 * spread)
    if p50 > p99:
        raise CommandLineError(f"--sim-ttft-p50-ms {p50} is above --sim-ttft-p99-ms {p99}")
    return replace(
        base,
        ttft_p50=p50 / 1000 * scale,
        ttft_p99=p99 / 1000 * scale,
        seconds_per_token=options.number("sim_tpot_ms", base.seconds_per_token * 1000) / 1000 * scale,
        requests_per_second=rate / scale if scale else 0.0,
        slots=options.integer("max_running_requests", base.slots, minimum=1),
        kv_tokens=options.integer("max_total_tokens", base.kv_tokens, minimum=1),
    )


def _labels(options: Options) -> dict[str, str]:
    try:
        value = json.loads(options.text("extra_metric_labels") or "{}")
    except ValueError:
        raise CommandLineError("--extra-metric-labels takes a JSON object") from None
    if not isinstance(value, dict):
        raise CommandLineError("--extra-metric-labels takes a JSON object")
    return {str(name): str(label) for name, label in value.items()}


def _node(options: Options) -> Node:
    count = options.integer("nnodes", 1, minimum=1)
    rank = options.integer("node_rank", 0)
    if rank >= count:
        raise CommandLineError(f"--node-rank {rank} must be below --nnodes {count}")
    if (parallel := options.integer("tp_size", 1, minimum=1) * options.integer("pp_size", 1, minimum=1)) % count:
        raise CommandLineError(f"tp size times pp size ({parallel}) must be divisible by --nnodes ({count})")
    host, _, port = options.text("dist_init_addr").rpartition(":")
    if count > 1 and not (host and port.isdigit()):
        raise CommandLineError("--dist-init-addr HOST:PORT is required with --nnodes above 1")
    return Node(rank, count, host.strip("[]"), int(port or 0), options.number("dist_timeout", 600.0))


def _redacted(words: Sequence[str]) -> str:
    """The command line for /server_info, without keys."""
    shown: list[str] = []
    hide = False
    for word in words:
        name, equals, _ = word.partition("=")
        secret = name in ("--api-key", "--admin-api-key")
        shown.append("***" if hide else f"{name}=***" if secret and equals else word)
        hide = secret and not equals
    return " ".join(shown)
