"""A pod template patch merges as Kubernetes merges it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.render.strategic_merge import MERGE_KEY, strategic_merge
from tests.core.properties import quick

_ENGINE = {"name": "engine", "image": "i", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
_BASE: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "containers": [_ENGINE],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}],
        "nodeSelector": {"x": "1", "y": "2"},
    },
}


def merged(patch: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy((_BASE, patch))
    result = strategic_merge(_BASE, patch)
    assert (_BASE, patch) == before, "inputs are not changed"
    return result


def spec(patch: dict[str, Any]) -> dict[str, Any]:
    result = merged({"spec": patch})["spec"]
    assert isinstance(result, dict)
    return result


def test_maps_merge_and_scalars_replace() -> None:
    assert spec({"nodeSelector": {"y": "3", "z": "4"}})["nodeSelector"] == {"x": "1", "y": "3", "z": "4"}
    assert spec({"priority": 7}) == {**_BASE["spec"], "priority": 7}


def test_null_removes_a_field() -> None:
    assert spec({"nodeSelector": {"x": None}})["nodeSelector"] == {"y": "2"}
    assert "nodeSelector" not in spec({"nodeSelector": None})
    assert spec({"absent": None}) == _BASE["spec"]


def test_null_inside_something_new_is_no_data() -> None:
    assert spec({"dnsConfig": {"options": None, "searches": ["a"]}})["dnsConfig"] == {"searches": ["a"]}
    sidecar = {"name": "sidecar", "image": "s", "command": None}
    assert spec({"containers": [sidecar]})["containers"][1] == {"name": "sidecar", "image": "s"}


def test_containers_merge_by_name() -> None:
    patch = {"containers": [{"name": "sidecar", "image": "s"}, {"name": "engine", "image": "mine"}]}
    assert spec(patch)["containers"] == [{**_ENGINE, "image": "mine"}, {"name": "sidecar", "image": "s"}]


def test_nested_lists_merge_by_their_own_key() -> None:
    patch = {"containers": [{"name": "engine", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]}
    env = spec(patch)["containers"][0]["env"]
    assert [(item["name"], item["value"]) for item in env] == [("A", "1"), ("B", "3"), ("C", "4")]


@pytest.mark.parametrize(("field", "key"), sorted(MERGE_KEY.items()))
def test_every_keyed_list_merges_by_its_key(field: str, key: str) -> None:
    base = {field: [{key: 1, "a": "old", "b": "kept"}, {key: 2}]}
    patch = {field: [{key: 1, "a": "new"}, {key: 3}]}
    assert strategic_merge(base, patch) == {field: [{key: 1, "a": "new", "b": "kept"}, {key: 2}, {key: 3}]}


def test_lists_without_a_key_are_replaced() -> None:
    assert spec({"tolerations": [{"key": "mine"}]})["tolerations"] == [{"key": "mine"}]
    assert spec({"containers": [{"name": "engine", "args": ["--x"]}]})["containers"][0]["args"] == ["--x"]


def test_patch_delete_removes_a_list_item() -> None:
    assert spec({"volumes": [{"name": "tmp", "$patch": "delete"}]})["volumes"] == [_BASE["spec"]["volumes"][1]]
    assert spec({"volumes": [{"name": "none", "$patch": "delete"}]}) == _BASE["spec"]


def test_patch_delete_leaves_nothing_of_a_map() -> None:
    assert spec({"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}


def test_patch_replace_takes_the_patch_alone() -> None:
    assert spec({"nodeSelector": {"$patch": "replace", "z": "1"}})["nodeSelector"] == {"z": "1"}
    assert spec({"new": {"$patch": "replace", "z": "1"}})["new"] == {"z": "1"}
    volumes = [{"$patch": "replace"}, {"name": "mine", "emptyDir": {}}]
    assert spec({"volumes": volumes})["volumes"] == [{"name": "mine", "emptyDir": {}}]


def test_patch_replace_of_one_item() -> None:
    patch = {"volumes": [{"name": "tmp", "emptyDir": {"$patch": "replace", "medium": "Memory"}}]}
    assert spec(patch)["volumes"][0] == {"name": "tmp", "emptyDir": {"medium": "Memory"}}


@pytest.mark.parametrize(
    "patch",
    [
        {"containers": [{"image": "nameless"}]},
        {"containers": ["text", 7, None, []]},
        {"containers": [{"name": {"not": "text"}}, {"name": []}]},
        {"containers": "text"},
        {"containers": {"name": "engine"}},
        {"volumes": [{"name": "v", "$patch": "unheard-of"}]},
        {"nodeSelector": {"$patch": "unheard-of"}},
    ],
)
def test_nonsense_is_kept_for_the_dry_run_to_refuse(patch: dict[str, Any]) -> None:
    [(field, value)] = patch.items()
    result = spec(patch)[field]
    if isinstance(value, list):
        assert [item for item in value if item not in result] == []
    elif isinstance(value, dict):
        assert value.items() <= result.items()
    else:
        assert result == value


_SCALARS = st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"])
_KEYED = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={"$patch": st.just("delete"), "v": st.integers(0, 3)},
    ),
    unique_by=lambda item: item["name"],
    max_size=3,
)
_VALUES = st.recursive(
    _SCALARS | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=6,
)
_PATCHES = st.fixed_dictionaries({}, optional={"containers": _KEYED, "volumes": _KEYED, "p": _VALUES, "q": _VALUES})
_BASES = _PATCHES.map(lambda patch: strategic_merge({}, patch))


@quick()
@given(_BASES)
def test_empty_patch_changes_nothing(base: dict[str, Any]) -> None:
    assert strategic_merge(base, {}) == base


@quick()
@given(_BASES, _PATCHES)
def test_merging_twice_is_merging_once(base: dict[str, Any], patch: dict[str, Any]) -> None:
    once = strategic_merge(base, patch)
    assert strategic_merge(once, patch) == once


@quick()
@given(_BASES, _PATCHES)
def test_no_null_and_no_directive_survives(base: dict[str, Any], patch: dict[str, Any]) -> None:
    def clean(value: Any) -> bool:
        if isinstance(value, dict):
            return "$patch" not in value and all(item is not None and clean(item) for item in value.values())
        return not isinstance(value, list) or all(clean(item) for item in value)

    assert clean(strategic_merge(base, patch))
