"""The real SGLang server in every pod, the engine of two nodes included, behind the routing Service."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from e2e.chat import ask, stream
from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.forward import ensure_forward
from e2e.demo import HARD, SIMPLE
from e2e.sglang.conftest import CLUSTER, NAMESPACE
from e2e.stack import Stack

SGLANG_VERSION = "0.5.23"
MODELS = {"small": "tiny-qwen3-small", "large": "tiny-qwen3-large"}
NODES = {"small": 1, "large": 2}


def _engine(stack: Stack, pod: str, path: str) -> tuple[int, str]:
    """Status and text of what an engine's pod answers itself, past the routers."""
    address = stack.get("pod", pod, NAMESPACE)["status"]["podIP"]
    port = ensure_forward(running_cluster(stack.layout), address, 30000)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _chat(stack: Stack, text: str, model: str) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 8}
    url = f"{stack.routing_url(CLUSTER, NAMESPACE)}/v1/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.parametrize(("text", "tier"), [(SIMPLE, "small"), (HARD, "large")])
def test_both_tiers_answer_through_the_routing_service(stack: Stack, text: str, tier: str) -> None:
    answer = ask(stack.routing_url(CLUSTER, NAMESPACE), text)
    assert (answer.status, answer.tier) == (200, tier)
    assert answer.text.strip()
    assert "x-simulated" not in answer.headers


@pytest.mark.parametrize("tier", MODELS)
def test_answers_are_the_models_own(stack: Stack, tier: str) -> None:
    short, long = _chat(stack, SIMPLE, tier), _chat(stack, HARD, tier)
    assert 1 <= short["usage"]["completion_tokens"] <= 8
    # Counted by the model's tokenizer.
    assert long["usage"]["prompt_tokens"] > 10 * short["usage"]["prompt_tokens"]


@pytest.mark.parametrize("tier", MODELS)
def test_streams_come_in_pieces(stack: Stack, tier: str) -> None:
    answer, pieces = stream(stack.routing_url(CLUSTER, NAMESPACE), SIMPLE, tier)
    assert (answer.status, answer.tier) == (200, tier)
    assert len([piece for piece in pieces if piece]) > 1


@pytest.mark.parametrize("tier", MODELS)
def test_every_engine_is_the_real_server(stack: Stack, tier: str) -> None:
    _, text = _engine(stack, f"{CLUSTER}-{tier}-0-0", "/server_info")
    info = json.loads(text)
    assert info["version"] == SGLANG_VERSION
    assert "simulated" not in info
    assert info["served_model_name"] == MODELS[tier]
    assert (info["device"], info["tp_size"], info["nnodes"]) == ("cpu", NODES[tier], NODES[tier])


def test_the_second_node_of_the_large_engine_is_a_rank_that_serves_nobody(stack: Stack) -> None:
    worker = f"{CLUSTER}-large-0-1"
    assert "TP1" in stack.kubectl("logs", "-n", NAMESPACE, worker)
    assert _engine(stack, worker, "/health")[0] == 200
    assert _engine(stack, worker, "/ready")[0] == 404


def test_metrics_carry_the_tier(stack: Stack) -> None:
    _, metrics = _engine(stack, f"{CLUSTER}-small-0-0", "/metrics")
    sample = next(line for line in metrics.splitlines() if line.startswith("sglang:num_running_reqs{"))
    assert f'heterollm_cluster="{CLUSTER}"' in sample
    assert 'heterollm_tier="small"' in sample
