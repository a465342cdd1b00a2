"""A sample held against the part of the CRD's schema that it is of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["unknown_or_wrong"]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
    "number": (int, float),
}


def unknown_or_wrong(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Fields that the schema does not have, and values of another type or not among the choices.

    What is required is not asked for: samples leave out what does not matter.
    """
    return list(_problems(value, schema, path))


def _problems(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    kind = schema.get("type")
    # Kubernetes takes quantities as numbers and as text; a schema without a type says that.
    if kind is not None and (not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool))):
        yield f"{path} is no {kind}: {value!r}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path} is none of {schema['enum']}: {value!r}"
    elif "properties" in schema and path.rpartition(".")[2] != "metadata":
        for name, item in value.items():
            known = schema["properties"].get(name)
            yield from _problems(item, known, f"{path}.{name}") if known is not None else [f"{path}.{name} is unknown"]
    elif "items" in schema:
        for number, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{path}[{number}]")
