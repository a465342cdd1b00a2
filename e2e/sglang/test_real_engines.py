"""The real SGLang server in every pod, the engine of two nodes included, behind the routing Service."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPResponse
from typing import Any

import pytest

from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.forward import ensure_forward
from e2e.demo import HARD, SIMPLE
from e2e.sglang.conftest import CLUSTER, NAMESPACE
from e2e.stack import Stack

SGLANG_VERSION = "0.5.23"
MODELS = {"small": "tiny-qwen3-small", "large": "tiny-qwen3-large"}
NODES = {"small": 1, "large": 2}
TOKENS = 16


def _engine(stack: Stack, pod: str, path: str) -> tuple[int, str]:
    """Status and text of what an engine's pod answers itself, past the routers."""
    address = stack.get("pod", pod, NAMESPACE)["status"]["podIP"]
    port = ensure_forward(running_cluster(stack.layout), address, 30000)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _chat(stack: Stack, text: str, model: str, **more: Any) -> HTTPResponse:
    """Ask for exactly 16 tokens: a model of random weights may end its answer with the first."""
    message = {"role": "user", "content": text}
    body = {"model": model, "messages": [message], "max_tokens": TOKENS, "ignore_eos": True, **more}
    url = f"{stack.routing_url(CLUSTER, NAMESPACE)}/v1/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    response: HTTPResponse = urllib.request.urlopen(request, timeout=120)
    return response


@pytest.mark.parametrize(("text", "tier"), [(SIMPLE, "small"), (HARD, "large")])
def test_both_tiers_answer_through_the_routing_service(stack: Stack, text: str, tier: str) -> None:
    with _chat(stack, text, "auto") as response:
        answer = json.load(response)
    assert (response.status, response.headers["x-llm-tier"]) == (200, tier)
    assert "x-simulated" not in response.headers
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == TOKENS


@pytest.mark.parametrize("tier", MODELS)
def test_tokens_are_counted_by_the_models_own_tokenizer(stack: Stack, tier: str) -> None:
    prompts = []
    for text in (SIMPLE, f"{SIMPLE} lumo"):
        with _chat(stack, text, tier) as response:
            prompts.append(json.load(response)["usage"]["prompt_tokens"])
    # A word of its vocabulary, which is nobody else's.
    assert prompts[1] == prompts[0] + 1


@pytest.mark.parametrize("tier", MODELS)
def test_streams_come_in_pieces(stack: Stack, tier: str) -> None:
    with _chat(stack, SIMPLE, tier, stream=True) as response:
        assert response.headers["x-llm-tier"] == tier
        lines = [line.decode().strip().removeprefix("data: ") for line in response if line.strip()]
    assert lines[-1] == "[DONE]"
    chunks = [choice["delta"].get("content") for line in lines[:-1] for choice in json.loads(line)["choices"]]
    assert len([chunk for chunk in chunks if chunk]) > TOKENS // 4


@pytest.mark.parametrize("tier", MODELS)
def test_every_engine_is_the_real_server(stack: Stack, tier: str) -> None:
    _, text = _engine(stack, f"{CLUSTER}-{tier}-0-0", "/server_info")
    info = json.loads(text)
    assert info["version"] == SGLANG_VERSION
    assert "simulated" not in info
    assert info["served_model_name"] == MODELS[tier]
    assert (info["device"], info["tp_size"], info["nnodes"]) == ("cpu", NODES[tier], NODES[tier])


@pytest.mark.parametrize("tier", MODELS)
def test_the_engine_holds_as_many_tokens_as_status_says(stack: Stack, tier: str) -> None:
    tiers = stack.get("heterollmcluster", CLUSTER, NAMESPACE)["status"]["tiers"]
    [sizing] = [item["sizing"] for item in tiers if item["name"] == tier]
    _, text = _engine(stack, f"{CLUSTER}-{tier}-0-0", "/server_info")
    assert json.loads(text)["max_total_num_tokens"] == sizing["kvCacheTokens"]


def test_the_second_node_of_the_large_engine_is_a_rank_that_serves_nobody(stack: Stack) -> None:
    worker = f"{CLUSTER}-large-0-1"
    assert "TP1" in stack.kubectl("logs", "-n", NAMESPACE, worker)
    assert _engine(stack, worker, "/health")[0] == 200
    assert _engine(stack, worker, "/ready")[0] == 404


def test_metrics_carry_the_tier(stack: Stack) -> None:
    _, metrics = _engine(stack, f"{CLUSTER}-small-0-0", "/metrics")
    sample = next(line for line in metrics.splitlines() if line.startswith("sglang:num_running_reqs{"))
    assert f'heterollm_cluster="{CLUSTER}"' in sample
    assert f'heterollm_namespace="{NAMESPACE}"' in sample
    assert 'heterollm_tier="small"' in sample
