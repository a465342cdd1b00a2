"""The store: whatever the order of the news, it ends up with what is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import Scope, find
from heterollm_operator.kube.store import Key, Store
from tests.shell.objects import child, cluster

C = Key("ns", "c")
CONFIG_MAPS = Scope(find("v1", "ConfigMap"), None)


class Recorder:
    """A store and the clusters it reported as changed."""

    def __init__(self) -> None:
        self.changed: list[Key] = []
        self.store = Store(self.changed.append)

    def children(self, key: Key = C) -> list[str]:
        return [body["metadata"]["name"] for body in self.store.children(key)]

    def news(self) -> list[Key]:
        """What was reported since the last time."""
        news, self.changed[:] = list(self.changed), []
        return news


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_cluster_and_its_children_are_found_by_its_key(recorder: Recorder) -> None:
    for body in (cluster(), child("b"), child("a"), child("p", kind="Pod")):
        recorder.store.put(body)
    assert recorder.store.clusters() == [C]
    assert recorder.children() == ["a", "b", "p"]  # in a stable order: by kind, then by name
    assert recorder.store.children(Key("other", "c")) == ()


def test_every_change_is_reported_once(recorder: Recorder) -> None:
    recorder.store.put(child("a", 5))
    assert recorder.news() == [C]
    recorder.store.put(child("a", 5))
    recorder.store.put(child("a", 4))
    assert recorder.news() == []
    recorder.store.put(child("a", 6))
    recorder.store.remove(child("a", 7))
    assert recorder.news() == [C, C]


def test_a_late_answer_does_not_bring_a_deleted_object_back(recorder: Recorder) -> None:
    recorder.store.put(child("a", 5))
    recorder.store.remove(child("a", 7))
    recorder.store.put(child("a", 6))
    assert recorder.children() == []
    recorder.store.put(child("a", 8))
    assert recorder.children() == ["a"]


def test_the_deletion_of_an_object_since_made_anew_is_old_news(recorder: Recorder) -> None:
    recorder.store.put(child("a", 9, metadata={"uid": "second"}))
    recorder.store.remove(child("a", 7, metadata={"uid": "first"}))
    assert recorder.children() == ["a"]


def test_managed_fields_are_not_kept(recorder: Recorder) -> None:
    recorder.store.put(child("a", metadata={"managedFields": [{"manager": "somebody"}]}))
    (body,) = recorder.store.children(C)
    assert "managedFields" not in body["metadata"]
    assert body["metadata"]["name"] == "a"


def test_an_object_that_changes_its_cluster_leaves_the_old_one(recorder: Recorder) -> None:
    recorder.store.put(child("a", 1))
    recorder.store.put(child("a", 2, metadata={"labels": {names.CLUSTER: "d"}}))
    assert recorder.children() == []
    assert recorder.children(Key("ns", "d")) == ["a"]
    assert recorder.news() == [C, C, Key("ns", "d")]


def test_an_object_that_names_no_cluster_is_kept_but_is_nobodys_child(recorder: Recorder) -> None:
    recorder.store.put(child("a", metadata={"labels": {}}))
    assert recorder.news() == []
    assert recorder.store.get(CONFIG_MAPS.kind, "ns", "a") is not None


def test_a_listing_removes_what_it_lacks(recorder: Recorder) -> None:
    for name in ("kept", "gone"):
        recorder.store.put(child(name, 3))
    recorder.store.put(child("p", 3, kind="Pod"))
    recorder.news()
    recorder.store.replace(CONFIG_MAPS, [child("kept", 3), child("new", 4)], 10)
    assert recorder.children() == ["kept", "new", "p"]
    assert recorder.news() == [C, C]


def test_a_listing_does_not_remove_what_was_made_after_it(recorder: Recorder) -> None:
    recorder.store.put(child("newer", 11))
    recorder.store.replace(CONFIG_MAPS, [], 10)
    assert recorder.children() == ["newer"]


def test_a_listing_of_a_namespace_leaves_the_others_alone(recorder: Recorder) -> None:
    recorder.store.put(child("a", 3))
    recorder.store.replace(Scope(CONFIG_MAPS.kind, "elsewhere"), [], 10)
    assert recorder.children() == ["a"]


@settings(deadline=None)
@given(data=st.data())
def test_the_order_of_the_news_does_not_matter(data: st.DataObject) -> None:
    """A history of one object, told in any order and with repetitions, ends with its last state."""
    history: list[tuple[str, Any]] = []
    exists = False
    for version in range(1, data.draw(st.integers(2, 8)) + 1):
        exists = not exists or data.draw(st.booleans())
        history.append(("put" if exists else "remove", child("a", version, data={"version": version})))
    told = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=3))))
    store = Store(lambda _: None)
    for verb, body in told:
        getattr(store, verb)(body)
    last_verb, last = history[-1]
    assert store.children(C) == ((last,) if last_verb == "put" else ())
