"""What a newcomer sees: the demo's sample becomes Ready and answers, to any OpenAI client; the chart tests itself."""

from __future__ import annotations

import json
from typing import Any

import helm_python
import openai
import pytest

from e2e.chat import ask, stream
from e2e.demo import HARD, SIMPLE
from e2e.install import RELEASE
from e2e.scenarios.chat_cluster import NAME, ChatCluster, sample
from e2e.stack import OPERATOR_NAMESPACE, Stack

NAMESPACE = "first-look"


@pytest.fixture(scope="module")
def first(stack: Stack) -> ChatCluster:
    """The demo's sample, unchanged."""
    stack.kubectl("create", "namespace", NAMESPACE)
    cluster = ChatCluster(stack, NAMESPACE)
    cluster.apply(sample())
    cluster.wait_ready()
    return cluster


@pytest.mark.parametrize(("text", "tier"), [(SIMPLE, "small"), (HARD, "large")])
def test_the_tier_follows_from_the_question(first: ChatCluster, text: str, tier: str) -> None:
    answer = ask(first.url, text)
    assert (answer.status, answer.tier) == (200, tier)
    assert f"tier {tier}, engine {NAME}-{tier}-" in answer.text


@pytest.mark.parametrize(
    ("model", "tier"),
    [("small", "small"), ("large", "large"), ("Qwen/Qwen3-4B", "small"), ("Qwen/Qwen3-235B-A22B", "large")],
)
def test_clients_can_name_the_tier_or_its_model(first: ChatCluster, model: str, tier: str) -> None:
    answer = ask(first.url, SIMPLE, model)
    assert (answer.status, answer.tier) == (200, tier)


def test_a_streamed_answer_comes_in_pieces(first: ChatCluster) -> None:
    answer, pieces = stream(first.url, SIMPLE, max_tokens=8)
    received = [piece for piece in pieces if piece]
    assert answer.tier == "small"
    # Not one piece per token: an engine that is late, as on a busy machine, sends the tokens it owes together.
    assert len(received) > 1
    label, _, words = "".join(received).partition("]")
    assert label.startswith("[simulated answer")
    assert len(words.split()) == 7  # the label is the eighth token


def _client(first: ChatCluster) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{first.url}/v1", api_key="none", max_retries=0)


def test_the_openai_client_works_unmodified(first: ChatCluster) -> None:
    with _client(first) as client:
        listed = {model.id for model in client.models.list()}
        assert listed == {"auto", "small", "large", "Qwen/Qwen3-4B", "Qwen/Qwen3-235B-A22B"}
        question: Any = [{"role": "user", "content": SIMPLE}]
        plain = client.chat.completions.create(model="auto", messages=question, max_tokens=4)
        assert "tier small" in (plain.choices[0].message.content or "")
        chunks = list(client.chat.completions.create(model="large", messages=question, max_tokens=4, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert "tier large" in text


def test_an_unknown_model_is_an_openai_error_that_lists_what_exists(first: ChatCluster) -> None:
    with _client(first) as client, pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": SIMPLE}])
    assert refused.value.code == "model_not_found"
    for name in ("auto", "small", "Qwen/Qwen3-235B-A22B"):
        assert name in refused.value.message


def test_kubectl_get_tells_the_state(first: ChatCluster) -> None:
    header, row = first.kubectl("get", "hllm").splitlines()
    assert header.split() == ["NAME", "READY", "ENGINES", "MODE", "AGE"]
    assert row.split()[:4] == [NAME, "True", "3/3", "Normal"]


def test_a_large_engine_spans_two_pods_and_each_asks_for_its_gpu(first: ChatCluster) -> None:
    pods = first.engine_pods("large")
    assert sorted(pod["metadata"]["name"] for pod in pods) == [f"{NAME}-large-0-0", f"{NAME}-large-0-1"]
    for pod in pods:
        assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_an_unchanged_sample_changes_nothing(first: ChatCluster) -> None:
    # kubectl diff exits with 1, an error here, when anything differs.
    assert first.kubectl("diff", "-f", "-", stdin=json.dumps(sample())) == ""


def test_the_release_passes_its_own_test(stack: Stack) -> None:
    with helm_python.Config(kubeconfig_path=stack.layout.kubeconfig, namespace=OPERATOR_NAMESPACE) as helm:
        helm.test(RELEASE)
