"""Refusals in SGLang's shapes: flat on the OpenAI endpoints, nested on /generate."""

from typing import Any

import pytest

from .conftest import Factory

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        (CHAT, {"messages": []}, "Messages cannot be empty."),
        (CHAT, {}, "messages"),
        (CHAT, {"messages": ["hello"]}, "role"),
        (CHAT, {"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}, "max_tokens"),
        (CHAT, {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5000}, "context length"),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 20_000}]}, "context length"),
        (CHAT, {"messages": [{"role": "user", "content": "x"}], "n": 2, "stream": True}, "one choice"),
        ("/v1/completions", {"model": "m"}, "prompt"),
        ("/v1/completions", {"prompt": 5}, "prompt"),
    ],
)
async def test_bad_requests(engine: Factory, path: str, body: dict[str, Any], part: str) -> None:
    client = await engine("--context-length", "2048")
    response = await client.post(path, json=body)
    error = await response.json()
    assert response.status == 400
    assert error["object"] == "error"
    assert error["code"] == 400
    assert part in error["message"]


async def test_the_openai_endpoints_want_json(engine: Factory) -> None:
    client = await engine()
    plain = await client.post(CHAT, data=b"{}", headers={"Content-Type": "text/plain"})
    assert plain.status == 400
    broken = await client.post(CHAT, data=b"{", headers={"Content-Type": "application/json"})
    assert broken.status == 400
    assert "not JSON" in (await broken.json())["message"]


async def test_generate_nests_its_errors(engine: Factory) -> None:
    client = await engine()
    response = await client.post("/generate", json={})
    assert response.status == 400
    assert "text or input_ids" in (await response.json())["error"]["message"]


async def test_unknown_paths_and_methods(engine: Factory) -> None:
    client = await engine()
    assert (await client.get("/nowhere")).status == 404
    assert (await client.get(CHAT)).status == 405


async def test_a_key_guards_all_but_probes_and_metrics(engine: Factory) -> None:
    client = await engine("--api-key", "k1", "--sim-time-scale", "0")
    assert (await client.get("/v1/models")).status == 401
    assert (await client.get("/v1/models", headers={"Authorization": "Bearer wrong"})).status == 401
    assert (await client.get("/v1/models", headers={"Authorization": "Bearer k1"})).status == 200
    for path in ("/ready", "/health", "/metrics"):
        assert (await client.get(path)).status == 200


async def test_an_admin_key_replaces_the_key_on_admin_endpoints(engine: Factory) -> None:
    client = await engine("--api-key", "k1", "--admin-api-key", "k2")
    assert (await client.post("/flush_cache", headers={"Authorization": "Bearer k1"})).status == 401
    assert (await client.post("/flush_cache", headers={"Authorization": "Bearer k2"})).status == 200
    assert (await client.get("/v1/models", headers={"Authorization": "Bearer k1"})).status == 200
