"""When wanted is contained in live: defaults, foreign additions and spellings of the API server are no difference."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.render.diff import DIGEST, contained, differs, digest, stamped
from tests.core.properties import quick


def _template(container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "engine", **container}], **spec}}}}


_PORT = {"name": "http", "port": 80, "targetPort": "http"}

CONTAINED: dict[str, tuple[Any, Any]] = {
    "defaulted fields": ({"a": 1}, {"a": 1, "b": 2}),
    "defaults in depth": (_template({"image": "i"}), _template({"image": "i", "imagePullPolicy": "Always"})),
    "foreign labels": ({"labels": {"ours": "1"}}, {"labels": {"theirs": "2", "ours": "1"}}),
    "foreign sidecar": ({"containers": [{"name": "a"}]}, {"containers": [{"name": "b"}, {"name": "a", "x": 1}]}),
    "foreign port of a Service": (
        {"ports": [_PORT]},
        {"ports": [{**_PORT, "protocol": "TCP", "nodePort": 30001}, {"name": "x", "port": 9}]},
    ),
    "keyed list in another order": (
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
    ),
    "second owner": (
        {"ownerReferences": [{"uid": "u", "name": "n"}]},
        {"ownerReferences": [{"uid": "v", "name": "m"}, {"uid": "u", "name": "n"}]},
    ),
    "empty map left out": ({"nodeSelector": {}}, {}),
    "empty list left out": ({"volumes": []}, {}),
    "empty text left out": ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}),
    "empty map beside foreign keys": ({"nodeSelector": {}}, {"nodeSelector": {"theirs": "1"}}),
    "empty keyed list beside foreign items": ({"volumes": []}, {"volumes": [{"name": "theirs"}]}),
    "false left out": ({"hostNetwork": False}, {}),
    "zero left out": ({"initialDelaySeconds": 0}, {}),
    "cores in millis": ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1000m"}}),
    "decimal cores": ({"requests": {"cpu": "0.5"}}, {"requests": {"cpu": "500m"}}),
    "cores as a number": ({"requests": {"cpu": 4}}, {"requests": {"cpu": "4"}}),
    "Gi as Mi": ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}),
    "fraction of Gi": ({"limits": {"memory": "1.5Gi"}}, {"limits": {"memory": "1536Mi"}}),
    "exponent": ({"limits": {"memory": "1e3"}}, {"limits": {"memory": "1k"}}),
    "exa is no exponent": ({"limits": {"memory": "2E"}}, {"limits": {"memory": "2000P"}}),
    "nano cores": ({"requests": {"cpu": "100n"}}, {"requests": {"cpu": "0.0000001"}}),
    "size limit": ({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}),
}

DIFFERENT: dict[str, tuple[Any, Any]] = {
    "changed value": ({"a": 1}, {"a": 2}),
    "missing field": ({"a": 1}, {}),
    "missing map": ({"a": {"b": 1}}, {"a": None}),
    "other type": ({"a": {"b": 1}}, {"a": "text"}),
    "changed default in depth": (_template({"image": "i"}), _template({"image": "j"})),
    "missing list item": ({"containers": [{"name": "a"}, {"name": "b"}]}, {"containers": [{"name": "a"}]}),
    "changed list item": ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}),
    "arguments in another order": ({"args": ["--a", "--b"]}, {"args": ["--b", "--a"]}),
    "one argument more": ({"args": ["--a"]}, {"args": ["--a", "--b"]}),
    # Atomic lists: an addition is a change of what we own whole.
    "foreign subject of a RoleBinding": (
        {"subjects": [{"kind": "ServiceAccount", "name": "a"}]},
        {"subjects": [{"kind": "ServiceAccount", "name": "a"}, {"kind": "User", "name": "mallory"}]},
    ),
    "foreign rule of a Role": ({"rules": [{"verbs": ["get"]}]}, {"rules": [{"verbs": ["get"]}, {"verbs": ["*"]}]}),
    "foreign hole in a NetworkPolicy": (
        {"ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}]}]},
        {"ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}, {"port": 22, "protocol": "TCP"}]}]},
    ),
    "foreign toleration": (
        {"tolerations": [{"key": "gpu"}]},
        {"tolerations": [{"key": "gpu"}, {"key": "spot"}]},
    ),
    "emptied list": ({"tolerations": []}, {"tolerations": [{"key": "spot"}]}),
    # Optional fields whose absence means something else than false or 0.
    "token mounted again": ({"automountServiceAccountToken": False}, {}),
    "no replicas": ({"replicas": 0}, {}),
    # Texts that are equal only as quantities.
    "label": ({"labels": {"version": "1"}}, {"labels": {"version": "1000m"}}),
    "label called limits": ({"labels": {"limits": "1"}}, {"labels": {"limits": "1000m"}}),
    "annotation": ({"annotations": {"size": "1Gi"}}, {"annotations": {"size": "1024Mi"}}),
    "environment": ({"env": [{"name": "A", "value": "1k"}]}, {"env": [{"name": "A", "value": "1000"}]}),
    "argument": ({"args": ["--tp", "1"]}, {"args": ["--tp", "1.0"]}),
    "other quantity": ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1001m"}}),
    "no quantity at all": ({"requests": {"cpu": "one"}}, {"requests": {"cpu": "two"}}),
}


@pytest.mark.parametrize("case", CONTAINED)
def test_no_difference(case: str) -> None:
    wanted, live = CONTAINED[case]
    assert contained(wanted, live)


@pytest.mark.parametrize("case", DIFFERENT)
def test_difference(case: str) -> None:
    wanted, live = DIFFERENT[case]
    assert not contained(wanted, live)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab1Gm", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "env", "requests"]), _JSON, max_size=4)


@quick()
@given(_OBJECTS)
def test_everything_contains_itself(value: dict[str, Any]) -> None:
    assert contained(value, copy.deepcopy(value))


@quick()
@given(_OBJECTS, st.data())
def test_additions_by_others_never_matter(value: dict[str, Any], data: st.DataObject) -> None:
    def with_extras(item: Any) -> Any:
        if isinstance(item, dict):
            extras = data.draw(st.dictionaries(st.sampled_from(["x", "y"]), _JSON, max_size=2))
            return {**extras, **{key: with_extras(inner) for key, inner in item.items()}}
        return [with_extras(inner) for inner in item] if isinstance(item, list) else item

    assert contained(value, with_extras(value))


def _manifest(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "n", "annotations": {"mine": "1"}}, "data": data}


def test_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert len(digest({})) == 16


def test_stamp_is_an_annotation_beside_others_and_leaves_its_input_alone() -> None:
    plain = _manifest(a="1")
    result = stamped(plain)
    assert result["metadata"]["annotations"] == {"mine": "1", DIGEST: digest(plain)}
    assert plain == _manifest(a="1")


def test_a_field_no_longer_wanted_is_a_difference_though_the_rest_is_contained() -> None:
    live = stamped(_manifest(a="1", b="2"))
    assert contained(_manifest(a="1"), live)
    assert differs(stamped(_manifest(a="1")), live)
    assert not differs(stamped(_manifest(a="1", b="2")), live)


def test_what_does_not_exist_must_be_applied() -> None:
    assert differs(stamped(_manifest()), None)
