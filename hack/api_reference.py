"""Write docs/api.md from the CRD: `python -m hack.api_reference` (part of `make generate`).

The CRD comes from the API types, so the page says what the API server enforces: types, defaults, limits and rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PAGE", "api_reference"]

_ROOT = Path(__file__).resolve().parent.parent
_CRD = _ROOT / "crds" / "heterollmclusters.yaml"
PAGE = _ROOT / "docs" / "api.md"

Schema = dict[str, Any]

_HEAD = """# API reference

<!-- Generated from crds/heterollmclusters.yaml by `make generate`; do not edit. -->

Every field of a `{kind}` (`{group}/{version}`, short name `{short}`). `kubectl explain {short}.spec` says the same in a
cluster. [The resource in use](using.md) says how the fields act together.

- A field of `spec` without a default is optional unless it says **required**. The operator works out what is absent.
- In `status`, **required** fields are always there.
- Decimals are text, such as `"0.7"`.
"""

_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " keys"),
)


def api_reference(crd: Schema) -> str:
    """The whole page."""
    spec = crd["spec"]
    (version,) = spec["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    names = spec["names"]
    head = _HEAD.format(kind=names["kind"], group=spec["group"], version=version["name"], short=names["shortNames"][0])
    parts = [head, "## Name\n", *(f"- {rule['message']}." for rule in schema["x-kubernetes-validations"]), ""]
    for part in ("spec", "status"):
        parts += _sections(part, schema["properties"][part])
    return "\n".join(parts).rstrip() + "\n"


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """An object's section, then those of the objects in it."""
    yield f"## `{path}`\n"
    yield f"{schema['description']}\n"
    rules = [f"- {rule['message']}." for rule in schema.get("x-kubernetes-validations", [])]
    yield from ([*rules, ""] if rules else [])
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_type(path, name, field)} | {_default(field, name in required)} | {_meaning(field)} |"
    yield ""
    for name, field in schema["properties"].items():
        inner = _object(field)
        if inner is not None:
            yield from _sections(_path(path, name, field), inner)


def _object(field: Schema) -> Schema | None:
    """The object with named fields that a field holds, itself or as items."""
    inner: Schema = field.get("items", field)
    return inner if "properties" in inner else None


def _path(path: str, name: str, field: Schema) -> str:
    return f"{path}.{name}[]" if "items" in field else f"{path}.{name}"


def _type(path: str, name: str, field: Schema) -> str:
    if _object(field) is not None:
        inner = _path(path, name, field)
        kind = "list of objects" if "items" in field else "object"
        return f"[{kind}](#{_anchor(inner)})"
    if "items" in field:
        return f"list of {_scalar(field['items'])}s"
    if "additionalProperties" in field:
        return f"map to {_scalar(field['additionalProperties'])}"
    return _scalar(field)


def _anchor(path: str) -> str:
    """As GitHub and the site make it of a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_")


def _scalar(field: Schema) -> str:
    return "quantity" if field.get("x-kubernetes-int-or-string") else str(field.get("type", "object"))


def _default(field: Schema, required: bool) -> str:
    if required:
        return "**required**"
    default = field.get("default")
    # What an object is by default, its fields say themselves.
    said = default not in (None, "", []) and not isinstance(default, dict)
    return f"`{_inline(default)}`" if said else ""


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _meaning(field: Schema) -> str:
    """The description, then the limits and rules that it does not say."""
    choices = ", ".join(f"`{value}`" for value in field.get("enum", []))
    rules = [f"Rule: {rule['message']}." for rule in field.get("x-kubernetes-validations", [])]
    said_there = _object(field) is field  # the object's own section has its rules
    parts = [
        field["description"],
        f"One of {choices}." if choices else "",
        _limits(field),
        *([] if said_there else rules),
    ]
    return " ".join(part for part in parts if part)


def _limits(field: Schema) -> str:
    """Bounds, and the pattern where no rule says it in words."""
    parts = [_range(field.get(low), field.get(high), unit) for low, high, unit in _RANGES]
    if "pattern" in field and "x-kubernetes-validations" not in field:
        parts.append(f"Matches `{field['pattern']}`.")
    return " ".join(part for part in parts if part)


def _range(low: int | None, high: int | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"At most {high:,}{unit}."
    return f"At least {low:,}{unit}." if high is None else f"{low:,} to {high:,}{unit}."


def main() -> None:
    """Write the page."""
    PAGE.write_text(api_reference(yaml.safe_load(_CRD.read_text())))


if __name__ == "__main__":
    main()
