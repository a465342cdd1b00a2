"""The usual scene of the failure suite: a small tier with a large one behind it, and clients that ask the small one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, SimulatedEngine, brisk
from tests.router.load import Load

__all__ = ["Scene", "under_load"]


@dataclass(frozen=True)
class Scene:
    """The engines of the small tier, the router before them, and the load on it."""

    small: list[SimulatedEngine]
    envoy: Envoy
    load: Load


@asynccontextmanager
async def under_load(*pods: str, clients: int = 12) -> AsyncIterator[Scene]:
    """A small tier of these engines. When it ends, every client has its last answer and the engines are gone."""
    async with Fleet() as fleet:
        *small, large = await fleet.engines(*pods, "l")
        tiers = policy(fleet.tier("small", *small), fleet.tier("large", large))
        async with (
            Envoy(tiers, brisk) as envoy,
            envoy.session() as client,
            Load(client, clients, model="small") as load,
        ):
            yield Scene(small, envoy, load)
