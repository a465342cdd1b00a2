"""Engines of several nodes: joining, the other ranks' endpoints, and one death for all."""

import asyncio
from unittest.mock import Mock

import pytest

from simulated_engine import ranks
from simulated_engine.config import Node
from tests.ports import free_port

from .conftest import Launcher, Process


async def launch_ranks(launch: Launcher, *ranks: int, count: int = 2, patience: str = "60") -> list[Process]:
    """Start the given ranks of one engine."""
    address = f"127.0.0.1:{free_port()}"
    common = ("--tp-size", str(count), "--nnodes", str(count), "--dist-init-addr", address, "--dist-timeout", patience)
    return [await launch(*common, "--node-rank", str(rank)) for rank in ranks]


async def test_it_is_ready_when_all_ranks_are_there(launch: Launcher) -> None:
    leader, second, third = await launch_ranks(launch, 0, 2, 1, count=3)
    await leader.until("/ready", 200)
    for worker in (second, third):
        await worker.until("/health", 200)
        assert await worker.status("/health_generate") == 200
        assert await worker.status("/ping") == 200
        assert await worker.status("/ready") == 404
    assert await leader.chat_status() == 200


async def test_it_ends_when_a_rank_never_comes(launch: Launcher) -> None:
    leader, worker = await launch_ranks(launch, 0, 1, count=3, patience="0.5")
    assert await leader.exit_code() == 1
    assert await worker.exit_code() == 1


async def test_no_port_is_open_before_it_is_complete(launch: Launcher) -> None:
    (worker,) = await launch_ranks(launch, 1, patience="1")
    assert await worker.status("/health") == 0
    assert await worker.exit_code() == 1


async def test_the_others_wait_for_their_leader(launch: Launcher) -> None:
    worker, leader = await launch_ranks(launch, 1, 0)
    await leader.until("/ready", 200)
    await worker.until("/health", 200)


async def test_an_address_that_answers_nothing_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # As when the leader's pod has been replaced, and the old one's address is nobody's any more.
    new = asyncio.StreamReader()
    new.feed_data(ranks.START)
    attempts: list[str] = []

    async def open_connection(host: str, port: int) -> tuple[asyncio.StreamReader, Mock]:
        attempts.append(host)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return new, Mock()

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    monkeypatch.setattr(ranks, "CONNECT_SECONDS", 0.01)
    await ranks.join(Node(1, 2, "leader", 5000, 60.0))
    assert attempts == ["leader", "leader"]


@pytest.mark.parametrize("victim", [0, 1])
async def test_one_rank_lost_ends_the_engine(launch: Launcher, victim: int) -> None:
    processes = await launch_ranks(launch, 0, 1)
    await processes[0].until("/ready", 200)
    await processes[1].until("/health", 200)
    processes[victim].process.kill()
    assert await processes[1 - victim].exit_code() == 1


async def test_only_the_leader_ends_the_others(launch: Launcher) -> None:
    leader, worker = await launch_ranks(launch, 0, 1)
    await leader.until("/ready", 200)
    await worker.until("/health", 200)
    worker.terminate()
    assert await worker.status("/health") == 200
    assert await leader.chat_status() == 200
    leader.terminate()
    assert await leader.exit_code() == 0
    assert await worker.exit_code() == 0
