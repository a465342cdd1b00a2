"""The generated CRD is structural, bounded, described, and the one that is committed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from heterollm_controllers.api import v1alpha1
from heterollm_controllers.api.crd import custom_resource_definition, structural
from heterollm_controllers.api.schema import WireType
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus

_COMMITTED = Path(__file__).parents[2] / "crds" / "heterollmclusters.yaml"
_CRD = custom_resource_definition()
_VERSION = _CRD["spec"]["versions"][0]
_SCHEMA = _VERSION["schema"]["openAPIV3Schema"]

# What a structural schema may hold beside the x-kubernetes extensions (no $ref, anyOf, title, const, ...).
_ALLOWED = {
    *("type", "description", "properties", "items", "additionalProperties", "required", "default", "enum", "format"),
    *("pattern", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minimum", "maximum"),
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below `schema`, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def fields() -> list[tuple[str, dict[str, Any]]]:
    """Every schema of spec and status."""
    return [item for part in ("spec", "status") for item in nodes(_SCHEMA["properties"][part], part)]


def test_committed_file_is_the_generated_one() -> None:
    assert yaml.safe_load(_COMMITTED.read_text()) == custom_resource_definition(), "run `make generate`"


def test_small_enough_for_client_side_apply() -> None:
    assert _COMMITTED.stat().st_size < 256 * 1024


def test_only_structural_keywords() -> None:
    wrong = [
        (path, key)
        for path, schema in nodes(_SCHEMA)
        for key in schema
        if key not in _ALLOWED and not key.startswith("x-kubernetes-")
    ]
    assert wrong == []


def test_structural_form() -> None:
    for path, schema in nodes(_SCHEMA):
        assert ("type" in schema) != schema.get("x-kubernetes-int-or-string", False), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert schema.get("type") != "null", path
        assert "default" not in schema or schema["default"] is not None, path


def test_every_field_is_described() -> None:
    assert [path for path, schema in fields() if path[-1] not in "]}" and not schema.get("description")] == []


def test_everything_is_bounded() -> None:
    """Unbounded values make the API server reject CEL rules for their cost."""
    for path, schema in fields():
        match schema.get("type"):
            case "string":
                assert "maxLength" in schema or "enum" in schema, path
            case "array":
                assert "maxItems" in schema, path
            case "object" if "properties" not in schema:
                assert "maxProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path
            case "integer":
                assert "minimum" in schema or "enum" in schema, path
            case "number":
                pytest.fail(f"{path} is a float, which does not travel reliably")
            case None:
                assert "maxLength" in schema, path


def test_derived_fields_have_no_default_and_policy_constants_do() -> None:
    tier = _SCHEMA["properties"]["spec"]["properties"]["tiers"]["items"]["properties"]
    engine = tier["engine"]["properties"]
    derived = (
        "gpus",
        "nodes",
        "attentionDataParallel",
        "expertParallel",
        "memFractionStatic",
        "contextLength",
        "image",
    )
    assert [name for name in derived if "default" in engine[name]] == []
    assert engine["drainSeconds"]["default"] == 300
    assert (
        _SCHEMA["properties"]["spec"]["properties"]["routing"]["properties"]["complexityThreshold"]["default"] == "0.7"
    )


def _defaulted(schema: dict[str, Any], value: Any) -> Any:
    """What the API server makes of a value: defaults filled in, from the outside inwards."""
    if isinstance(value, dict) and "properties" in schema:
        missing = {k: s["default"] for k, s in schema["properties"].items() if "default" in s and k not in value}
        return {k: _defaulted(schema["properties"][k], v) for k, v in {**missing, **value}.items()}
    if isinstance(value, list):
        return [_defaulted(schema["items"], item) for item in value]
    return value


def test_the_api_servers_defaults_are_the_models_own() -> None:
    """So a spec means the same whether it came through this CRD, an older one, or no defaulting at all."""
    written = {"tiers": [{"name": "t", "model": {"id": "m"}, "accelerator": {"type": "H100"}}]}
    stored = _defaulted(_SCHEMA["properties"]["spec"], written)
    assert HeteroLLMClusterSpec.model_validate(stored) == HeteroLLMClusterSpec.model_validate(written)
    wire = HeteroLLMClusterSpec.model_validate(written).model_dump(mode="json", by_alias=True, exclude_none=True)
    # What only tiers with engines have is given to none that does not ask for it.
    named = {"tiers": [{**written["tiers"][0], "engine": {}, "replicas": {}, "scaling": {}}]}
    assert _defaulted(_SCHEMA["properties"]["spec"], named) == wire


def test_a_tier_without_engines_is_given_nothing_of_theirs() -> None:
    tier = {"name": "far", "external": {"url": "https://far/v1", "model": "m"}}
    assert _defaulted(_SCHEMA["properties"]["spec"], {"tiers": [tier]})["tiers"] == [tier]


def test_scope_names_and_subresource() -> None:
    assert _CRD["spec"]["scope"] == "Namespaced"
    assert _CRD["spec"]["names"]["shortNames"] == ["hllm"]
    assert _CRD["metadata"]["name"] == "heterollmclusters.serving.heterollm.io"
    assert _VERSION["subresources"] == {"status": {}}


def test_printer_columns() -> None:
    columns = {column["name"]: column for column in _VERSION["additionalPrinterColumns"]}
    assert [name for name, column in columns.items() if "priority" not in column] == ["Ready", "Engines", "Mode", "Age"]
    assert {name for name, column in columns.items() if column.get("priority") == 1} >= {"Reason", "Message", "URL"}


def test_printer_columns_point_at_fields_that_exist() -> None:
    status = structural(HeteroLLMClusterStatus)
    for column in _VERSION["additionalPrinterColumns"]:
        head, *rest = column["jsonPath"].lstrip(".").split(".")
        if head == "status" and "[" not in column["jsonPath"]:
            schema = status
            for part in rest:
                schema = schema["properties"][part]
            assert schema["type"] == column["type"]


def test_conditions_are_merged_by_type() -> None:
    conditions = structural(HeteroLLMClusterStatus)["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_tiers_are_ordered_so_atomic_and_one_to_eight() -> None:
    tiers = _SCHEMA["properties"]["spec"]["properties"]["tiers"]
    assert (tiers["x-kubernetes-list-type"], tiers["minItems"], tiers["maxItems"]) == ("atomic", 1, 8)


def test_every_cel_rule_says_what_to_change() -> None:
    rules = [rule for _, schema in nodes(_SCHEMA) for rule in schema.get("x-kubernetes-validations", [])]
    assert len(rules) >= 8
    for rule in rules:
        assert "must" in rule["message"] or "set " in rule["message"] or "cannot" in rule["message"], rule


def test_what_cannot_be_structural_is_not_generated() -> None:
    class Either(BaseModel):
        value: int | list[str]

    with pytest.raises(ValueError, match="cannot express"):
        structural(Either)


def test_every_api_type_is_reachable_from_the_spec() -> None:
    """A type that no spec can hold is dead."""
    used = HeteroLLMClusterSpec.model_json_schema()["$defs"]
    types = {
        name
        for module in pkgutil.iter_modules(v1alpha1.__path__, f"{v1alpha1.__name__}.")
        if not module.name.endswith((".status", ".migration_status", ".sizing"))
        for name in importlib.import_module(module.name).__all__
        if issubclass(getattr(importlib.import_module(module.name), name), WireType)
    }
    assert types - {"HeteroLLMClusterSpec"} == {*used}
