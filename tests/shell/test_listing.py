"""Readiness and gaps: every collection is listed by ourselves after Kopf has listed it and opened its stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from heterollm_operator.kube.client import Api, ApiError
from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import CLUSTER, WATCHED, Scope, find, scopes, version_path
from heterollm_operator.kube.listing import Lister
from heterollm_operator.kube.store import Key, Store
from tests.shell.objects import child
from tests.shell.virtual import VirtualClock, settle

CONFIG_MAPS = Scope(find("v1", "ConfigMap"), None)


class Pages:
    """Serves listings, two objects a page, and the kinds of each API version."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.missing: set[str] = set()
        self.refused: set[str] = set()
        self.queries: list[tuple[str, Mapping[str, Any]]] = []
        self.errors: list[ApiError] = []

    async def request(
        self, method: str, path: str, *, limit: float, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        assert (method, limit) == ("GET", 30)
        if query is None:
            kinds = [kind for kind in WATCHED if version_path(kind.api_version) == path]
            return {"resources": [{"name": kind.plural} for kind in kinds if kind.plural not in self.missing]}
        self.queries.append((path, dict(query)))
        if path in self.refused:
            raise ApiError(403, "forbidden")
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
    # Users' own too, which a model's config is read from: these carry the label of their cluster alone.
    assert all(query["labelSelector"] == "serving.heterollm.io/cluster" for _, query in world.pages.queries)


async def test_of_other_kinds_only_children_are_listed(world: World) -> None:
    world.kopf_opens(Scope(find("v1", "Service"), None))
    await settle()
    ((_, query),) = world.pages.queries
    assert query["labelSelector"] == "app.kubernetes.io/managed-by=heterollm"


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
    world.pages.missing.add(CLUSTER.plural)
    waiting = asyncio.create_task(world.lister.wait_served())
    await world.clock.advance(10)
    assert not waiting.done()
    world.pages.missing.clear()
    await world.clock.advance(2)
    await waiting


async def test_a_scope_that_is_refused_keeps_no_other_one_waiting(world: World) -> None:
    pods = Scope(find("v1", "Pod"), None)
    world.pages.refused.add(pods.path)
    for scope in scopes(()):
        world.kopf_opens(scope)
    await settle()
    assert world.freshness.complete.is_set(), "it can lead"
    assert world.freshness.unverified == []
    assert world.freshness.refused == {pods: "forbidden"}
    assert world.freshness.unknown("ns") == [pods]
    await world.clock.advance(60)
    tries = [path for path, _ in world.pages.queries if path == pods.path]
    assert 6 <= len(tries) <= 9, "it is asked for again, more and more seldom"


async def test_a_scope_that_is_granted_again_is_seen_again(world: World) -> None:
    pods = Scope(find("v1", "Pod"), None)
    seen: list[Scope] = []
    world.freshness.on_seen_again(seen.append)
    world.pages.refused.add(pods.path)
    world.kopf_opens(pods)
    await settle()
    world.pages.refused.clear()
    await world.clock.advance(1)
    assert seen == [pods]
    assert world.freshness.refused == {}


async def test_a_watch_that_was_refused_is_unknown_until_it_is_listed_anew(world: World) -> None:
    world.kopf_opens(CONFIG_MAPS)
    await settle()
    assert world.freshness.failed(CONFIG_MAPS, 403, "forbidden") == 0.5
    assert world.freshness.failed(CONFIG_MAPS, 403, "forbidden") == 1.0
    assert CONFIG_MAPS in world.freshness.unknown("ns")
    world.freshness.opened(CONFIG_MAPS)
    assert CONFIG_MAPS in world.freshness.unknown("ns"), "events that were missed may still be to come"
    await settle()
    assert CONFIG_MAPS not in world.freshness.unknown("ns")


@pytest.mark.parametrize("status", [410, 429, 500, 503])
def test_a_server_that_is_busy_refuses_only_when_it_lasts(status: int) -> None:
    freshness = Freshness([CONFIG_MAPS], VirtualClock().monotonic)
    freshness.verified(CONFIG_MAPS)
    for _ in range(4):
        freshness.failed(CONFIG_MAPS, status, "busy")
    assert freshness.refused == {}
    assert freshness.unknown("ns") == []
    freshness.failed(CONFIG_MAPS, status, "busy")
    assert freshness.refused == {CONFIG_MAPS: "busy"}


def test_back_off_is_bounded_and_begins_anew(world_freshness: Freshness) -> None:
    waits = [world_freshness.failed(CONFIG_MAPS, 403, "forbidden") for _ in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    world_freshness.opened(CONFIG_MAPS)
    assert world_freshness.failed(CONFIG_MAPS, 403, "forbidden") == 0.5


@pytest.fixture
def world_freshness() -> Freshness:
    return Freshness([CONFIG_MAPS], VirtualClock().monotonic)


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
