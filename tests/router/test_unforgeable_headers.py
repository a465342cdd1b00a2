"""What only the router says of a request, no client can say: each of those headers is gone before anything reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from heterollm_controllers.routing.envoy import resource_names as places
from heterollm_controllers.routing.envoy.matchers import with_header
from heterollm_controllers.routing.envoy.resources import typed
from heterollm_controllers.routing.ir import RoutingPolicy
from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier

UNFORGEABLE = (
    "x-llm-attempts",
    "x-llm-broken",
    "x-llm-chosen",
    "x-llm-client",
    "x-llm-error",
    "x-llm-policy-version",
    "x-llm-prefix",
    "x-llm-quality",
    "x-llm-score",
)
"""Written out here, so that one that is dropped from the router's own list is missed."""
CLIENTS_MAY_SAY = {"x-llm-conversation", "x-llm-hint", "x-llm-priority", "x-llm-retries", "x-llm-tier"}
_HEADERS = Path(__file__).parents[2] / "router-image" / "module" / "src" / "filters" / "headers.rs"


def test_every_header_of_ours_is_either_the_clients_or_unforgeable() -> None:
    """As the module names them, and the policy."""
    named = set(re.findall(r'"(x-llm-[a-z-]+[a-z])"', _HEADERS.read_text(encoding="utf-8")))
    named |= {value for name, value in vars(places).items() if name.endswith("_HEADER")}
    assert named <= CLIENTS_MAY_SAY | set(UNFORGEABLE)
    assert set(places.UNFORGEABLE) == set(UNFORGEABLE)


class Counting(Envoy):
    """A router that counts which of these headers it has read."""

    def __init__(self, engine: Engine, removed: Sequence[str] | None = None) -> None:
        """`removed`: those that it takes away, other than the policy says."""
        more: Mapping[str, Any] = MappingProxyType({})
        if removed is not None:
            kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
            mutations = typed(kind, mutations=[{"remove": name} for name in removed])
            more = {"early_header_mutation_extensions": [{"name": "unforgeable", "typed_config": mutations}]}
        super().__init__(policy(tier("small", engine)), manager=more)

    def data(self, changed: RoutingPolicy) -> dict[str, str]:
        files = super().data(changed)
        response = json.loads(files["lds.json"])
        ((manager,),) = (chain["filters"] for chain in response["resources"][0]["filter_chains"])
        manager["typed_config"]["access_log"] += [_counter(name) for name in UNFORGEABLE]
        return files | {"lds.json": json.dumps(response)}


def _counter(name: str) -> dict[str, Any]:
    kind = "envoy.extensions.access_loggers.stats.v3.Config"
    count = {"stat": {"name": name}, "value_fixed": 1}
    return {
        "name": "envoy.access_loggers.stats",
        "filter": with_header(name, present_match=True),
        "typed_config": typed(kind, stat_prefix="read", counters=[count]),
    }


async def read_of(envoy: Envoy, method: str, path: str) -> set[str]:
    """The headers that the router has read of a request in which all of them are forged, and of those before it."""
    sent = {name.upper() if number % 2 else name: "forged" for number, name in enumerate(UNFORGEABLE)}
    async with (
        envoy.session() as client,
        client.request(method, path, json=chat(model="small"), headers=sent) as answer,
    ):
        await answer.read()
    # It is in these logs at the latest when the connection has ended.
    await envoy.until_async(lambda: _none_active(envoy))
    return {name.rpartition(".")[2] for name, count in (await envoy.stats(r"^read\.")).items() if count}


async def _none_active(envoy: Envoy) -> bool:
    return (await envoy.stats(r"downstream_rq_active$")).get("http.router.downstream_rq_active") == 0


async def test_the_router_reads_none_that_a_client_sends_whatever_is_asked() -> None:
    async with Engine("s0") as engine, Counting(engine) as envoy:
        for method, path in (
            ("POST", "/v1/chat/completions"),
            ("POST", "/flush_cache"),
            ("GET", "/v1/models"),
            ("GET", "/healthz"),
        ):
            assert await read_of(envoy, method, path) == set()
        assert len(engine.headers) == 1
        assert not [name for sent in engine.headers for name in sent if name.startswith("x-llm-")]


@pytest.mark.parametrize("name", UNFORGEABLE)
async def test_one_that_were_not_removed_would_be_read(name: str) -> None:
    async with (
        Engine("s0") as engine,
        Counting(engine, [other for other in UNFORGEABLE if other != name]) as envoy,
    ):
        assert await read_of(envoy, "GET", "/healthz") == {name}
