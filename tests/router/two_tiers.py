"""The usual scene: a router with a small tier of one engine, and behind it a large tier of one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import Any, Self

import aiohttp

from heterollm_controllers.routing.ir import RoutingPolicy
from tests.router.agent import Agent
from tests.router.engine import Answer, Engine, ok
from tests.router.envoy import Envoy, RetryChange, chat, fast, policy, tier

__all__ = ["TwoTiers"]

_CHAT = "/v1/chat/completions"
_NONE: Mapping[str, Any] = MappingProxyType({})


class TwoTiers:
    """The router, a client of it, and its engines s0 and l0, for the length of an `async with`."""

    envoy: Envoy
    client: aiohttp.ClientSession
    agent: Agent
    """Only if it was asked for."""

    def __init__(
        self,
        small: Answer = ok,
        large: Answer = ok,
        *,
        agent: bool = False,
        small_tier: Mapping[str, Any] = _NONE,
        change: RetryChange = fast,
        **policy_fields: Any,
    ) -> None:
        """`small`, `large`: how the engines answer; `small_tier`: fields of that tier; `change`: see Envoy."""
        self.small, self.large = Engine("s0", small), Engine("l0", large)
        self._with_agent = agent
        self._small_tier = small_tier
        self._change = change
        self._policy_fields = policy_fields
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.small)
            await stack.enter_async_context(self.large)
            self.envoy = await stack.enter_async_context(Envoy(self.policy(small=self._small_tier), self._change))
            if self._with_agent:
                self.agent = Agent(self.envoy.policy_dir, admin=self.envoy.admin_url)
                await stack.enter_async_context(self.agent)
            self.client = await stack.enter_async_context(self.envoy.session())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def policy(
        self, *, small: Mapping[str, Any] = _NONE, large: Mapping[str, Any] = _NONE, **fields: Any
    ) -> RoutingPolicy:
        """A policy for the two engines: `fields` beside those it began with; `small`, `large`: fields of the tiers."""
        tiers = tier("small", self.small, **small), tier("large", self.large, **large)
        return policy(*tiers, **(self._policy_fields | fields))

    async def post(self, body: object = None, **headers: str) -> aiohttp.ClientResponse:
        """Send a chat request with these x-llm- headers."""
        named = {f"x-llm-{name}": value for name, value in headers.items()}
        return await self.client.post(_CHAT, json=chat() if body is None else body, headers=named)

    async def tier_of(self, body: object = None, **headers: str) -> str:
        """Send a chat request; return the tier that answered."""
        answer = await self.post(body, **headers)
        assert answer.status == 200, await answer.text()
        return answer.headers["x-llm-tier"]
