"""Endpoints that tell about the engine, in SGLang's paths and shapes."""

import pytest

from .conftest import Factory

SCALE = ("--sim-time-scale", "0.001")


@pytest.mark.parametrize("path", ["/ready", "/health", "/health_generate", "/ping"])
async def test_a_started_engine_is_healthy(engine: Factory, path: str) -> None:
    client = await engine(*SCALE)
    response = await client.get(path)
    assert response.status == 200
    assert await response.read() == b""


@pytest.mark.parametrize("path", ["/ready", "/health", "/health_generate", "/ping"])
async def test_a_starting_engine_is_not(engine: Factory, path: str) -> None:
    client = await engine(*SCALE, ready=False)
    assert (await client.get(path)).status == 503


async def test_health_does_not_wait_when_it_need_not_generate(engine: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION", "false")
    # A stuck engine answers the cheap check at once, which the generating one would not.
    client = await engine("--sim-fault", '{"hang_rate": 1}')
    assert (await client.get("/health")).status == 200


async def test_server_info_shows_options_and_hides_keys(engine: Factory) -> None:
    client = await engine("--tp", "2", "--mem-fraction-static=0.7", "--api-key", "s3cret", "--disable-radix-cache")
    response = await client.get("/server_info", headers={"Authorization": "Bearer s3cret"})
    info = await response.json()
    assert info["tp_size"] == "2"
    assert info["mem_fraction_static"] == "0.7"
    assert info["disable_radix_cache"] is True
    assert info["simulated"] is True
    assert "s3cret" not in await response.text()


async def test_server_info_keeps_its_old_name(engine: Factory) -> None:
    client = await engine("--sim-tier", "t")
    assert (await (await client.get("/get_server_info")).json())["tier"] == "t"
    assert (await (await client.get("/get_model_info")).json())["model_path"] == "models/tiny"


async def test_models(engine: Factory) -> None:
    client = await engine("--context-length", "2048")
    listed = (await (await client.get("/v1/models")).json())["data"]
    assert [(card["id"], card["max_model_len"]) for card in listed] == [("Qwen/Qwen3-4B", 2048)]
    assert (await client.get("/v1/models/Qwen/Qwen3-4B")).status == 200
    missing = await client.get("/v1/models/other")
    assert missing.status == 404
    assert (await missing.json())["error"]["code"] == "model_not_found"


async def test_loads(engine: Factory) -> None:
    client = await engine("--max-running-requests", "7", "--max-total-tokens", "1000")
    core = (await (await client.get("/v1/loads?include=core")).json())["loads"][0]
    assert (core["num_running_reqs"], core["max_running_requests"]) == (0, 7)
    assert core["max_total_num_tokens"] == 1000
    assert "queues" not in core
    full = (await (await client.get("/v1/loads")).json())["loads"][0]
    assert full["queues"]["waiting"] == 0
    assert (await client.get("/v1/loads?include=nonsense")).status == 400


@pytest.mark.parametrize("path", ["/ready", "/v1/models", "/metrics", "/server_info", "/nowhere"])
async def test_every_answer_says_that_it_is_simulated(engine: Factory, path: str) -> None:
    client = await engine()
    assert (await client.get(path)).headers["x-simulated"] == "true"
