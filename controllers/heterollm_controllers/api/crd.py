"""The CustomResourceDefinition, generated from the API types.

A structural schema is a subset of OpenAPI v3: no $ref, no titles, no null types, no additionalProperties beside
properties. `structural` rewrites pydantic's JSON schema into it.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.names import GROUP, KIND, PLURAL, VERSION
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus

__all__ = ["custom_resource_definition", "structural"]

Schema = dict[str, Any]

# Children are named after the cluster and the tier. A StatefulSet's pods carry "<name>-<hash>" in a label of at most 63
# characters, and the routing Service has the cluster's own name, which must be a DNS-1035 label.
_NAME_RULES = [
    {
        "rule": "self.metadata.name.size() <= 30",
        "message": "metadata.name must have at most 30 characters: engines, Services and pods are named after it",
    },
    {
        "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "message": "metadata.name must start with a letter and hold only lower-case letters, digits and '-':"
        " the routing Service has the same name",
    },
]


class _OnTheWire(GenerateJsonSchema):
    """Defaults as the wire has them."""

    def encode_default(self, dft: Any) -> Any:
        return dft.text if isinstance(dft, DecimalNumber) else super().encode_default(dft)


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a pydantic model."""
    schema = model.model_json_schema(by_alias=True, schema_generator=_OnTheWire)
    return _rewrite(schema, schema.get("$defs", {}))


def _rewrite(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema:
        schema = _without_any_of(schema)
        return _rewrite(schema, definitions)
    if "oneOf" in schema:
        return _merged([_rewrite(choice, definitions) for choice in schema["oneOf"]])
    drop = {"$defs", "title"} | ({"default"} if schema.get("default", "") is None else set())
    result = {key: value for key, value in schema.items() if key not in drop}
    if isinstance(schema.get("default"), dict):
        result["default"] = _own_default(schema)
    if isinstance(schema.get("default"), list):
        result["default"] = [_without_nulls(item) for item in schema["default"]]
    if "properties" in schema:
        result["properties"] = {name: _rewrite(value, definitions) for name, value in schema["properties"].items()}
        result.pop("additionalProperties", None)
    elif isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _rewrite(schema["additionalProperties"], definitions)
    elif schema.get("x-kubernetes-preserve-unknown-fields"):
        result.pop("additionalProperties", None)
    if "items" in schema:
        result["items"] = _rewrite(schema["items"], definitions)
    return result


def _merged(choices: list[Schema]) -> Schema:
    """One object for several kinds of it: the fields of all; their rules say which go together.

    An object that only some kinds have has no default: the API server would give it to all.
    """
    fields: Schema = {}
    rules: list[Schema] = []
    shared = set.intersection(*(set(choice["properties"]) for choice in choices))
    for choice in choices:
        for name, field in choice["properties"].items():
            own = name not in shared and field.get("type") == "object"
            fields[name] = {key: value for key, value in field.items() if not (own and key == "default")}
        rules += choice.get("x-kubernetes-validations", [])
    return {
        "type": "object",
        "description": " ".join(choice["description"] for choice in choices),
        "properties": fields,
        "required": [name for name in choices[0]["required"] if all(name in choice["required"] for choice in choices)],
        "x-kubernetes-validations": rules,
    }


def _own_default(schema: Schema) -> Schema:
    """The part of an object's default that the defaults of its fields do not give already.

    All of it where there are rules: the API server holds a default against them as it is written.
    """
    ruled = "x-kubernetes-validations" in schema
    fields = {name: None if ruled else field.get("default") for name, field in schema["properties"].items()}
    return {name: value for name, value in schema["default"].items() if value not in (None, fields[name])}


def _without_nulls(item: Any) -> Any:
    return {name: value for name, value in item.items() if value is not None} if isinstance(item, dict) else item


def _without_any_of(schema: Schema) -> Schema:
    """Optional[X] becomes X (absent is how Kubernetes says null); int | str becomes int-or-string without a type."""
    choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if rest.get("default", "") is None:
        del rest["default"]
    if len(choices) == 1:
        return {**choices[0], **rest}
    if {choice.get("type") for choice in choices} == {"integer", "string"}:
        return rest
    raise ValueError(f"a structural schema cannot express {schema}")


def _column(name: str, path: str, *, kind: str = "string", wide: bool = False, description: str = "") -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    if description:  # the API server drops an empty one, which GitOps tools would then see as drift
        column["description"] = description
    if wide:
        column["priority"] = 1
    return column


def custom_resource_definition() -> Schema:
    """The whole CRD as `kubectl apply` takes it."""
    schema: Schema = {
        "type": "object",
        "description": "A heterogeneous LLM cluster: tiers of SGLang engines, cheapest first, behind one Service.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(HeteroLLMClusterSpec),
            "status": structural(HeteroLLMClusterStatus),
        },
        "x-kubernetes-validations": _NAME_RULES,
    }
    ready = ".status.conditions[?(@.type=='Ready')]"
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            _column(
                "Ready",
                f"{ready}.status",
                description="The current generation serves, and nothing older does.",
            ),
            _column("Engines", ".status.engines", description="Serving engines of the wanted ones."),
            _column("Mode", ".status.mode", description="Normal, or the fallback that is in force."),
            _column("Age", ".metadata.creationTimestamp", kind="date"),
            _column("Reason", f"{ready}.reason", wide=True),
            _column("URL", ".status.routing.url", wide=True),
            _column("Policy", ".status.routing.policyVersion", kind="integer", wide=True),
            _column("Message", f"{ready}.message", wide=True),
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["hllm"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }
