"""Readiness and gaps: every collection is listed by ourselves after Kopf has listed it and opened its stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from heterollm_operator.client import Api, ApiError
from heterollm_operator.freshness import Freshness
from heterollm_operator.kinds import CLUSTER, WATCHED, Scope, find, scopes
from heterollm_operator.listing import Lister
from heterollm_operator.store import Key, Store
from tests.shell.objects import child
from tests.shell.virtual import VirtualClock, settle

CONFIG_MAPS = Scope(find("v1", "ConfigMap"), None)


class Pages:
    """Serves listings, two objects a page."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.queries: list[tuple[str, Mapping[str, Any]]] = []
        self.errors: list[ApiError] = []

    async def request(self, method: str, path: str, *, limit: float, query: Mapping[str, Any]) -> dict[str, Any]:
        assert (method, limit) == ("GET", 30)
        self.queries.append((path, dict(query)))
        if self.errors:
            raise self.errors.pop()
        start = int(query.get("continue", 0))
        items = self.items.get(path, [])
        more = str(start + 2) if start + 2 < len(items) else ""
        page = [{key: item[key] for key in item if key != "kind"} for item in items[start : start + 2]]
        return {"metadata": {"resourceVersion": "50", "continue": more}, "items": page}


class World:
    """The parts around a lister."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.pages = Pages()
        self.store = Store(lambda _: None)
        self.freshness = Freshness(scopes(()), self.clock.monotonic)
        self.lister = Lister(cast(Api, self.pages), self.store, self.freshness, self.clock, ())
        self.task = asyncio.create_task(self.lister.run())

    def kopf_opens(self, scope: Scope) -> None:
        """Kopf lists a collection and opens its stream."""
        self.freshness.listed(scope)
        self.freshness.opened(scope)

    def names(self) -> list[str]:
        return [body["metadata"]["name"] for body in self.store.children(Key("ns", "c"))]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await world.task


async def test_all_pages_reach_the_store(world: World) -> None:
    world.pages.items[CONFIG_MAPS.path] = [child(f"m{n}") for n in range(5)]
    world.kopf_opens(CONFIG_MAPS)
    await settle()
    assert world.names() == [f"m{n}" for n in range(5)]
    assert all(query["labelSelector"] == "app.kubernetes.io/managed-by=heterollm" for _, query in world.pages.queries)


async def test_clusters_are_listed_whatever_their_labels(world: World) -> None:
    world.kopf_opens(Scope(CLUSTER, None))
    await settle()
    ((path, query),) = world.pages.queries
    assert path == "/apis/serving.heterollm.io/v1alpha1/heterollmclusters"
    assert "labelSelector" not in query


async def test_what_vanished_while_a_stream_was_broken_is_removed(world: World) -> None:
    world.store.put(child("ghost", 3))
    world.kopf_opens(CONFIG_MAPS)
    await settle()
    assert world.names() == []


async def test_a_stream_that_goes_on_where_it_broke_needs_no_listing(world: World) -> None:
    world.kopf_opens(CONFIG_MAPS)
    await settle()
    world.pages.queries.clear()
    world.freshness.opened(CONFIG_MAPS)
    await settle()
    assert world.pages.queries == []


async def test_a_listing_that_fails_is_repeated(world: World) -> None:
    world.pages.items[CONFIG_MAPS.path] = [child("m")]
    world.pages.errors.append(ApiError(500, "later"))
    world.kopf_opens(CONFIG_MAPS)
    await settle()
    assert world.names() == []
    await world.clock.advance(2)
    assert world.names() == ["m"]


async def test_ready_means_that_every_kind_has_been_listed(world: World) -> None:
    for scope in scopes(()):
        assert not world.freshness.complete.is_set()
        world.kopf_opens(scope)
        await settle()
    assert world.freshness.complete.is_set()
    assert world.freshness.unverified == []


async def test_kopf_is_not_started_before_every_kind_is_served(world: World) -> None:
    world.pages.errors.append(ApiError(404, "the server could not find the requested resource"))
    waiting = asyncio.create_task(world.lister.wait_served())
    await settle()
    assert not waiting.done()
    await world.clock.advance(2)
    await waiting
    assert len(world.pages.queries) == len(WATCHED) + 1


def test_a_namespaced_operator_watches_each_namespace() -> None:
    assert len(scopes(("a", "b"))) == 2 * len(WATCHED)
    assert Scope(find("apps/v1", "Deployment"), "a").path == "/apis/apps/v1/namespaces/a/deployments"
    assert {scope.namespace for scope in scopes(("a", "b"))} == {"a", "b"}


def test_age_counts_from_the_last_sign_of_life() -> None:
    clock = VirtualClock()
    freshness = Freshness([CONFIG_MAPS], clock.monotonic)
    assert freshness.ages() == {CONFIG_MAPS: None}
    freshness.opened(CONFIG_MAPS)
    clock.now = 10
    assert freshness.ages() == {CONFIG_MAPS: 10}
    freshness.event(CONFIG_MAPS)
    assert freshness.ages() == {CONFIG_MAPS: 0}
