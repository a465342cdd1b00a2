"""Faults on request, and only when enabled."""

import asyncio

import pytest

from simulated_engine.faults import Fault, FaultPlan

from .conftest import Factory, Launcher


async def test_without_the_flag_there_is_no_way_to_inject(engine: Factory) -> None:
    client = await engine()
    assert (await client.post("/sim/faults", json={"error_rate": 1})).status == 404


async def test_faults_change_while_it_runs(engine: Factory) -> None:
    client = await engine("--sim-fault", "{}")
    assert (await client.chat()).status == 200
    changed = await client.post("/sim/faults", json={"error_rate": 1, "error_status": 502})
    assert (await changed.json())["error_status"] == 502
    refused = await client.chat()
    assert refused.status == 502
    assert "Simulated fault" in (await refused.json())["message"]
    await client.post("/sim/faults", json={})
    assert (await client.chat()).status == 200


async def test_an_error_rate_is_met(engine: Factory) -> None:
    client = await engine("--sim-fault", '{"error_rate": 0.3}')
    codes = [(await client.chat()).status for _ in range(100)]
    assert 20 <= codes.count(500) <= 40
    assert codes.count(200) == 100 - codes.count(500)


async def test_empty_answers(engine: Factory) -> None:
    client = await engine("--sim-fault", '{"empty_rate": 1}')
    response = await client.chat()
    answer = await response.json()
    assert response.status == 200
    assert answer["choices"][0]["message"]["content"] == ""
    assert answer["usage"]["completion_tokens"] == 0
    assert "[DONE]" in await (await client.chat(stream=True)).text()


async def test_queue_full(engine: Factory) -> None:
    client = await engine("--sim-fault", '{"queue_full_rate": 1}')
    response = await client.chat()
    assert (response.status, (await response.json())["message"]) == (503, "The request queue is full.")


async def test_the_latency_factor_slows_it(engine: Factory) -> None:
    client = await engine("--sim-ttft-p50-ms", "5", "--sim-ttft-p99-ms", "5", "--sim-fault", '{"latency_factor": 4}')
    await client.chat()
    assert client.engine.counters.modes[False].time_to_first_token.total == pytest.approx(0.020, abs=0.005)


async def test_a_hanging_request_holds_its_slot_and_nothing_else(engine: Factory) -> None:
    client = await engine("--sim-fault", '{"hang_rate": 0.99}', "--sim-time-scale", "0")
    ask = asyncio.ensure_future(client.chat())
    await client.until_busy(1)
    assert not ask.done()
    assert (await client.get("/health")).status == 200
    ask.cancel()


async def test_a_stuck_engine_fails_its_health_check_and_recovers(engine: Factory) -> None:
    client = await engine("--sim-fault", '{"hang_rate": 1}', "--sim-time-scale", "0.001")
    assert (await client.get("/ready")).status == 200, "nobody has noticed yet"
    assert (await client.get("/health")).status == 503
    assert (await client.get("/ready")).status == 503
    await client.post("/sim/faults", json={})
    assert (await client.get("/health")).status == 200
    assert (await client.get("/ready")).status == 200


async def test_a_crash_ends_the_process(launch: Launcher) -> None:
    engine = await launch("--sim-fault", '{"crash_rate": 1}')
    await engine.until("/ready", 200)
    assert await engine.chat_status() == 0
    assert await engine.exit_code() == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nonsense", "not JSON"),
        ("[]", "object"),
        ('{"eror_rate": 1}', "known are"),
        ('{"error_rate": 2}', "share"),
        ('{"error_rate": true}', "finite number"),
        ('{"latency_factor": -1}', "finite number"),
        ('{"error_status": 200}', "400..599"),
    ],
)
def test_a_wrong_plan_is_refused(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        FaultPlan.parse(text)


def test_rates_share_one_draw() -> None:
    plan = FaultPlan(crash_rate=0.1, hang_rate=0.2, error_rate=0.3)
    picked = [plan.pick(position) for position in (0.05, 0.15, 0.35, 0.65)]
    assert picked == [Fault.CRASH, Fault.HANG, Fault.ERROR, Fault.NONE]
