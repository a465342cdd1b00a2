"""Every field of a cluster's spec, edited: whether that rolls engines, and what it does otherwise.

The one list of it: the core, the API server and docs/rolling.md are all held against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.core.builders import api_tier
from tests.core.edits import Edit, Effect, Wire, edited

__all__ = ["BASE", "CONFIG_MAPS", "EDITS", "FREE", "FREE_MAP", "MAP", "PLAIN"]

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}
SMALLER = LLAMA | {"num_hidden_layers": 16}
LARGER = LLAMA | {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64}
CONFIG_MAPS = {
    "maps": {"config.json": json.dumps(LLAMA), "other.json": json.dumps(SMALLER), "large.json": json.dumps(LARGER)},
    "others": {"config.json": json.dumps(SMALLER), "other.json": json.dumps(SMALLER)},
    "large": {"config.json": json.dumps(LARGER)},
}

PLAIN = api_tier(engine={"image": "i"})
GANG = api_tier(engine={"gpus": 16, "image": "i"})
FREE = {"name": "small", "model": {"id": "Qwen/Qwen3-32B"}, "accelerator": {"type": "A100-80GB"}}
CHEAP = {**FREE, "engine": {"objective": "cost"}}
MOE = {**FREE, "model": {"id": "Qwen/Qwen3-30B-A3B"}, "engine": {"gpus": 8}}
RDMA = api_tier(engine={"gpus": 16}, accelerator={"type": "H100", "network": {"type": "roce"}})
HUB = api_tier(model={"id": "org/small", "source": {"hub": {"tokenSecret": {"name": "s", "key": "k"}}}})
PVC = api_tier(model={"id": "org/small", "source": {"pvc": {"claimName": "c"}}})
HOST = api_tier(model={"id": "org/small", "source": {"hostPath": {"path": "/a"}}})
CONFIG = api_tier(model={"id": "org/small", "config": LLAMA})
FREE_CONFIG = {**FREE, "model": CONFIG["model"]}
MAP = api_tier(model={"id": "org/small", "configMap": {"name": "maps"}})
FREE_MAP = {**FREE, "model": MAP["model"]}
TOLERANT = api_tier(accelerator={"type": "H100", "tolerations": [{"key": "gpu"}]})
EVICTED = edited(TOLERANT, "accelerator.tolerations[].effect", "NoExecute")
VARIABLE = api_tier(engine={"env": [{"name": "A", "value": "1"}]})
FLAG = api_tier(engine={"args": ["--enforce-piecewise-cuda-graph"]})
"""A flag that releases of SGLang spell differently."""

BASE: Wire = {
    "tiers": [PLAIN, api_tier("large")],
    "routing": {
        "apiKeys": {"secretName": "clients"},
        "reservedPercent": 10,
        "retries": {"changes": [{"temperature": "1"}]},
    },
}
SERVICE: Wire = {
    "tiers": [
        {
            "name": "far",
            "external": {
                "url": "https://far/v1",
                "model": "org/far",
                "apiKeySecret": {"name": "s", "key": "k"},
                "dollarsPerMillionTokens": {"input": "1", "output": "4"},
            },
        },
        PLAIN,
    ]
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
KEY: Wire = {"tiers": [PLAIN], "security": {"apiKeySecret": {"name": "s", "key": "k"}}}


def _of_tiers(effect: Effect, *rows: tuple[str, Wire, Any]) -> Iterable[Edit]:
    return (Edit(f"tiers[].{path}", {"tiers": [tier]}, value, effect) for path, tier, value in rows)


def _of_the_rest(effect: Effect, *rows: tuple[str, Any]) -> Iterable[Edit]:
    return (Edit(path, BASE, value, effect) for path, value in rows)


def _of_a_service(effect: Effect, *rows: tuple[str, Any]) -> Iterable[Edit]:
    return (Edit(f"tiers[].external.{path}", SERVICE, value, effect) for path, value in rows)


EDITS: list[Edit] = [
    *_of_tiers(Effect.RENAMED, ("name", PLAIN, "other")),
    *_of_tiers(
        Effect.ROLLS,
        ("model.id", PLAIN, "org/other"),
        ("model.source.hub.revision", HUB, "v2"),
        ("model.source.hub.tokenSecret.name", HUB, "s2"),
        ("model.source.hub.tokenSecret.key", HUB, "k2"),
        ("model.source.pvc.claimName", PVC, "c2"),
        ("model.source.pvc.path", PVC, "weights"),
        ("model.source.hostPath.path", HOST, "/b"),
        ("model.config", FREE_CONFIG, LARGER),
        ("model.configMap.name", FREE_MAP, "large"),
        ("model.configMap.key", FREE_MAP, "large.json"),
        ("accelerator.type", FREE, "H200"),
        ("accelerator.perNode", GANG, 16),
        ("accelerator.memoryGiB", FREE, 40),
        ("accelerator.resourceName", PLAIN, "amd.com/gpu"),
        ("accelerator.nodeSelector", PLAIN, {"pool": "b"}),
        ("accelerator.tolerations[].key", TOLERANT, "other"),
        ("accelerator.tolerations[].operator", TOLERANT, "Exists"),
        ("accelerator.tolerations[].value", TOLERANT, "yes"),
        ("accelerator.tolerations[].effect", TOLERANT, "NoExecute"),
        ("accelerator.tolerations[].tolerationSeconds", EVICTED, 5),
        ("accelerator.runtimeClassName", PLAIN, "nvidia"),
        ("accelerator.topologyKey", GANG, "rack"),
        ("accelerator.network.type", GANG, "infiniband"),
        ("accelerator.network.resourceName", RDMA, "rdma/hca"),
        ("accelerator.network.resourceCount", RDMA, 4),
        ("engine.gpus", PLAIN, 2),
        ("engine.nodes", GANG, 4),
        ("engine.objective", FREE, "latency"),
        ("engine.workload.inputTokens", CHEAP, 20_000),
        ("engine.workload.outputTokens", FREE, 30_000),
        ("engine.sglangVersion", FLAG, "0.5.19"),
        ("engine.attentionDataParallel", MOE, 4),
        ("engine.expertParallel", MOE, 4),
        ("engine.memFractionStatic", PLAIN, "0.7"),
        ("engine.contextLength", PLAIN, 4096),
        ("engine.image", PLAIN, "i2"),
        ("engine.imagePullPolicy", PLAIN, "Always"),
        ("engine.command", PLAIN, ["run"]),
        ("engine.args", PLAIN, ["--log-level", "debug"]),
        ("engine.env[].name", VARIABLE, "B"),
        ("engine.env[].value", VARIABLE, "2"),
        ("engine.resources.cpu", PLAIN, "4"),
        ("engine.resources.memory", PLAIN, "64Gi"),
        ("engine.sharedMemory", PLAIN, "8Gi"),
        ("engine.startSeconds", PLAIN, 900),
        ("engine.drainSeconds", PLAIN, 60),
        ("podTemplate", PLAIN, {"spec": {"hostNetwork": True}}),
    ),
    *_of_tiers(
        Effect.REPORT,
        ("model.config", CONFIG, SMALLER),
        ("model.configMap.name", MAP, "others"),
        ("model.configMap.key", MAP, "other.json"),
        ("accelerator.dollarsPerHour", FREE, "9.5"),
        ("engine.workload.inputTokens", MOE, 4000),
        ("engine.workload.outputTokens", MOE, 4000),
        ("engine.measured.timeToFirstTokenMs", FREE, "50"),
        ("engine.measured.timePerTokenMs", FREE, "5"),
        ("engine.measured.requestsPerSecond", FREE, "12"),
    ),
    *_of_tiers(
        Effect.SAME,
        ("accelerator.type", PLAIN, "H200"),
        ("accelerator.perNode", PLAIN, 4),
        ("accelerator.memoryGiB", PLAIN, 40),
        ("accelerator.topologyKey", PLAIN, "rack"),
        ("accelerator.network.type", PLAIN, "infiniband"),
        ("engine.objective", PLAIN, "latency"),
        ("engine.sglangVersion", PLAIN, "0.5.19"),
        ("podTemplate", PLAIN, {}),
    ),
    *_of_tiers(
        Effect.COUNT,
        ("replicas.min", PLAIN, 2),
        ("replicas.fixed", PLAIN, 3),
        ("replicas.standby", PLAIN, 1),
    ),
    *_of_tiers(
        Effect.DECISION,
        ("engine.placementSeconds", GANG, 900),
        ("replicas.max", PLAIN, 5),
        ("scaling.queueLength", PLAIN, 7),
        ("scaling.queueStep", PLAIN, 7),
        ("scaling.timeToFirstTokenMs", PLAIN, 700),
        ("scaling.timeToFirstTokenStep", PLAIN, 7),
        ("scaling.queuePerEngine", PLAIN, 7),
        ("scaling.kvUsePercent", PLAIN, 70),
        ("scaling.headroomPercent", PLAIN, 70),
        ("scaling.forecast", PLAIN, False),
        ("scaling.scaleDownSeconds", PLAIN, 700),
        ("scaling.unschedulableSeconds", PLAIN, 700),
        ("scaling.nodeSeconds", PLAIN, 700),
    ),
    Edit("security.apiKeySecret.name", KEY, "s2", Effect.ROLLS),
    Edit("security.apiKeySecret.key", KEY, "k2", Effect.ROLLS),
    *_of_the_rest(
        Effect.POLICY,
        ("routing.complexityThreshold", "0.5"),
        ("routing.scorerWeights", {"length": "1"}),
        ("routing.trustHeaders", True),
        ("routing.retries.limit", 1),
        ("routing.retries.deadlineSeconds", 60),
        ("routing.retries.budgetPercent", 10),
        ("routing.retries.changes[].temperature", "0.5"),
        ("routing.retries.changes[].maxTokensFactor", "0.5"),
        ("routing.retries.changes[].newSeed", True),
        ("routing.retries.changeOnEveryFailure", True),
        ("routing.retries.checkQuality", False),
        ("routing.reservedPercent", 20),
        ("routing.bodyLimitMiB", 8),
        ("routing.apiKeys.reserved", ["alice"]),
    ),
    *_of_a_service(
        Effect.POLICY,
        ("url", "http://10.0.0.1:8000"),
        ("model", "org/other"),
        ("maxRequests", 100),
        ("caBundle", CERTIFICATE),
    ),
    *_of_a_service(
        Effect.COST,
        ("dollarsPerMillionTokens.input", "0.5"),
        ("dollarsPerMillionTokens.output", "2"),
    ),
    *_of_a_service(Effect.ROUTERS_AND_POLICY, ("apiKeySecret.name", "s2"), ("apiKeySecret.key", "k2")),
    *_of_the_rest(Effect.ROUTER_COUNT, ("routing.replicas", 3)),
    *_of_the_rest(
        Effect.ROUTERS,
        ("routing.apiKeys.secretName", "others"),
        ("routing.tlsSecret", "tls"),
        ("routing.image", "i2"),
        ("routing.imagePullPolicy", "Always"),
        ("routing.resources.cpu", "2"),
        ("routing.resources.memory", "1Gi"),
    ),
    *_of_the_rest(
        Effect.SERVICE,
        ("routing.service.type", "NodePort"),
        ("routing.service.port", 8000),
        ("routing.service.annotations", {"a": "b"}),
    ),
    *_of_the_rest(Effect.NETWORK, ("security.networkPolicies", False)),
    *_of_the_rest(
        Effect.DECISION,
        ("scaling.paused", True),
        ("fallback.minRequests", 10),
        ("fallback.failedPercent", 40),
        ("fallback.slowMilliseconds", 10_000),
        ("fallback.holdSeconds", 200),
        ("fallback.longestHoldSeconds", 2_000),
        ("fallback.probeRequests", 5),
        ("fallback.rampPercent", [50, 100]),
        ("fallback.rampSeconds", 20),
        ("fallback.reopenings", 2),
        ("fallback.reopeningsSeconds", 3_000),
        ("fallback.cleanSeconds", 800),
        ("fallback.recoveryPercent", [50, 100]),
        ("observability.queries", {"queue": "vector(1)"}),
    ),
    *_of_the_rest(Effect.CONDITION, ("familyCheck", "Off")),
    # In this order: what is forced shows what only reporting takes back.
    *_of_the_rest(Effect.POLICY, ("fallback.force", "PureLarge"), ("fallback.dryRun", True)),
    # The first of these begins to migrate.
    *_of_the_rest(Effect.POLICY, ("migration.mode", "Hold"), ("migration.gates.firstByteMs", 300)),
    *_of_the_rest(
        Effect.DECISION,
        ("migration.steps", [50, 100]),
        ("migration.stepSeconds", 3_600),
        ("migration.gates.errorPercent", "1"),
        ("migration.gates.costReductionPercent", 30),
        ("migration.onInconclusive", "Rollback"),
    ),
]
