"""Leader election: a fake Lease, virtual time, and everything that can go wrong between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterollm_operator.kube.client import ApiError
from heterollm_operator.process.leader import Elector, LeaseLost, Timing
from heterollm_operator.runtime.clock import Clock
from tests.shell.virtual import SkewedClock, VirtualClock, settle

TIMING = Timing()
TAKE_OVER = 15.0


class Server:
    """The API server's side of one Lease."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.versions = 0
        self.writes: list[tuple[str, str]] = []

    def write(self, verb: str, spec: dict[str, Any]) -> dict[str, Any]:
        self.versions += 1
        self.lease = {"metadata": {"resourceVersion": str(self.versions)}, "spec": dict(spec)}
        self.writes.append((verb, spec["holderIdentity"]))
        return self.lease


class Link:
    """One replica's connection to the server: a `LeaseStore` that can be cut, or lose only the answers."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self.cut = False
        self.deaf = False
        self.latency = 0.0

    async def _pass(self) -> None:
        if self.cut:
            await self._time_out()

    async def _answer(self, lease: dict[str, Any]) -> dict[str, Any]:
        if self.deaf:
            await self._time_out()
        if self.latency:
            await self.clock.sleep(self.latency)
        return lease

    async def _time_out(self) -> None:
        await self.clock.sleep(TIMING.request)
        raise ApiError(0, "no answer")

    async def get(self) -> dict[str, Any]:
        await self._pass()
        if self.server.lease is None:
            raise ApiError(404, "not found")
        return await self._answer(self.server.lease)

    async def create(self, spec: dict[str, Any]) -> dict[str, Any]:
        await self._pass()
        if self.server.lease is not None:
            raise ApiError(409, "exists")
        return await self._answer(self.server.write("create", spec))

    async def update(self, version: str, spec: dict[str, Any]) -> dict[str, Any]:
        await self._pass()
        if self.server.lease is None:
            raise ApiError(404, "not found")
        if version != self.server.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "conflict")
        return await self._answer(self.server.write("update", spec))


class Replica:
    """A process that takes part."""

    def __init__(self, server: Server, clock: Clock, identity: str) -> None:
        self.link = Link(server, clock)
        self.led = 0
        self.elector = Elector(self.link, identity, clock, TIMING, self._lead)
        self.task = asyncio.create_task(self.elector.run())

    def _lead(self) -> None:
        self.led += 1

    @property
    def leading(self) -> bool:
        return not self.task.done() and self.elector.leading

    def kill(self) -> None:
        """As by signal 9: nothing is given up."""
        self.task.cancel()


class World:
    """A clock, a server, and replicas by name."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.server = Server()
        self.replicas: dict[str, Replica] = {}

    def start(self, name: str, wall: float = 0.0, zero: float = 0.0) -> Replica:
        self.replicas[name] = Replica(self.server, SkewedClock(self.clock, wall, zero), name)
        return self.replicas[name]

    @property
    def leaders(self) -> list[str]:
        return [name for name, replica in self.replicas.items() if replica.leading]

    async def until_leads(self, name: str) -> float:
        """Seconds until that replica leads; fails when two lead at once or it takes too long."""
        for step in range(int(TAKE_OVER * 10) + 1):
            assert len(self.leaders) <= 1
            if self.leaders == [name]:
                return step / 10
            await self.clock.advance(0.1)
        raise AssertionError(f"{name} does not lead after {TAKE_OVER} s")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    for replica in world.replicas.values():
        replica.kill()
        with contextlib.suppress(asyncio.CancelledError, LeaseLost):
            await replica.task


async def test_the_first_one_leads_at_once_and_keeps_the_lease(world: World) -> None:
    first = world.start("first")
    await world.clock.advance(0)
    assert world.leaders == ["first"]
    world.start("second")
    await world.clock.advance(3600)
    assert world.leaders == ["first"]
    assert first.led == 1


async def test_of_two_that_start_together_one_leads(world: World) -> None:
    world.start("first")
    world.start("second")
    await world.clock.advance(5)
    assert len(world.leaders) == 1
    assert [verb for verb, _ in world.server.writes].count("create") == 1


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0, 1.9, 2.1])
async def test_a_killed_leader_is_followed_within_15_seconds(world: World, moment: float) -> None:
    leader = world.start("leader")
    await world.clock.advance(1)
    world.start("heir")
    await world.clock.advance(60 + moment)
    leader.kill()
    await settle()
    assert await world.until_leads("heir") <= TIMING.duration + TIMING.retry + 0.2


async def test_a_leader_that_ends_in_order_is_followed_at_the_next_look(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(1)
    world.start("heir")
    await world.clock.advance(60)
    leader.kill()
    await leader.elector.release()
    assert not leader.elector.leading
    assert await world.until_leads("heir") <= TIMING.retry + 0.2


async def test_a_leader_without_server_stops_at_the_deadline_before_anyone_follows(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(1)
    world.start("heir")
    await world.clock.advance(60)
    leader.link.cut = True
    stopped = None
    for step in range(200):
        await world.clock.advance(0.1)
        assert len(world.leaders) <= 1
        if stopped is None and not leader.leading:
            stopped = step / 10
        if world.leaders == ["heir"]:
            break
    assert stopped is not None
    assert stopped <= TIMING.deadline
    assert world.leaders == ["heir"]
    # Whatever the old leader sent at its last moment has arrived or failed by now.
    assert step / 10 - stopped >= TIMING.request - 0.2
    with pytest.raises(LeaseLost):
        await leader.task


async def test_a_short_outage_is_survived(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(61)
    leader.link.cut = True
    await world.clock.advance(3)
    leader.link.cut = False
    await world.clock.advance(60)
    assert world.leaders == ["leader"]


async def test_a_renewal_whose_answer_is_lost_does_not_cost_the_lease(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(61)
    leader.link.deaf = True
    await world.clock.advance(2)
    leader.link.deaf = False
    await world.clock.advance(60)
    assert world.leaders == ["leader"]


async def test_the_deadline_counts_from_before_a_slow_renewal(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(61)
    leader.link.latency = 2.0
    await world.clock.advance(1)  # the renewal of second 62 is under way
    leader.link.cut = True
    await world.clock.advance(TIMING.deadline + 0.1)
    assert not leader.elector.leading


async def test_a_leader_that_finds_another_holder_ends_at_once(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(61)
    assert world.server.lease is not None
    world.server.write("update", {**world.server.lease["spec"], "holderIdentity": "usurper"})
    await world.clock.advance(TIMING.retry)
    assert not leader.elector.leading
    with pytest.raises(LeaseLost, match="usurper"):
        await leader.task


async def test_a_process_that_was_stopped_does_not_lead_when_it_wakes(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(61)
    # Time passed without it: nothing of it has run yet, so only the clock can tell it.
    world.clock.now += TIMING.deadline + 1
    assert not leader.elector.leading


async def test_wall_clocks_of_other_machines_do_not_matter(world: World) -> None:
    leader = world.start("leader", wall=-86_400, zero=5_000)
    await world.clock.advance(1)
    world.start("heir", wall=86_400, zero=-5_000)
    await world.clock.advance(600)
    assert world.leaders == ["leader"], "a day of skew makes nobody impatient"
    leader.kill()
    await settle()
    assert await world.until_leads("heir") <= TIMING.duration + TIMING.retry + 0.2


async def test_a_restarted_process_waits_for_the_lease_of_its_former_self(world: World) -> None:
    world.start("one").kill()
    await settle()
    world.server.write("create", {"holderIdentity": "one_a", "leaseDurationSeconds": 9})
    world.start("one_b")
    await world.clock.advance(TIMING.duration - 1)
    assert world.leaders == []
    assert await world.until_leads("one_b") <= 2


async def test_transitions_are_counted(world: World) -> None:
    leader = world.start("leader")
    await world.clock.advance(1)
    world.start("heir")
    await world.clock.advance(30)
    leader.kill()
    await leader.elector.release()
    await world.until_leads("heir")
    assert world.server.lease is not None
    assert world.server.lease["spec"]["leaseTransitions"] == 2


def test_a_request_that_could_outlive_the_lease_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Timing(duration=9, deadline=6, retry=2, request=3)


class _Step:
    """What happens to which replica; hypothesis draws these."""

    ACTIONS = ("cut", "heal", "deafen", "kill", "start", "wait")


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(_Step.ACTIONS), st.integers(0, 2), st.floats(0.05, 12.0)), min_size=5, max_size=30
    )
)
async def test_there_is_never_more_than_one_leader(steps: list[tuple[str, int, float]]) -> None:
    world = World()
    names = ["a", "b", "c"]
    for name in names:
        world.start(name)
    for count, (action, index, seconds) in enumerate(steps):
        replica = world.replicas[names[index]]
        if action == "start" and replica.task.done():
            names[index] = f"{names[index][0]}{count}"
            world.start(names[index])
        elif action == "kill":
            replica.kill()
        else:
            replica.link.cut = action == "cut"
            replica.link.deaf = action == "deafen"
        for _ in range(int(seconds / 0.5) + 1):
            await world.clock.advance(0.5)
            assert len(world.leaders) <= 1, world.leaders
    for replica in world.replicas.values():
        replica.link.cut = replica.link.deaf = False
    world.start("last")
    await world.clock.advance(TAKE_OVER)
    assert len(world.leaders) == 1, "someone always leads in the end"
    for replica in world.replicas.values():
        replica.kill()
        with contextlib.suppress(asyncio.CancelledError, LeaseLost):
            await replica.task
