"""Is what we want contained in what lives? Then nothing is applied, and an unchanged cluster costs no write.

The API server adds defaults and other managers add fields: both are left alone. A field we once set and no longer
want would stay unnoticed by containment alone, so each applied object carries the digest of what was applied.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from heterollm_controllers.names import GROUP

__all__ = ["DIGEST", "contained", "differs", "digest", "stamped"]

DIGEST = f"{GROUP}/applied"
"""Annotation with the digest of the object as applied."""

# Lists of objects are matched by the first of these keys that all wanted items carry, as Kubernetes merges them.
_MERGE_KEYS = ("uid", "name", "mountPath", "containerPort", "port", "topologyKey", "key")

_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(m|k|[KMGTPE]i?|)$")
_SCALE = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("KMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}  # fmt: skip


def digest(manifest: Mapping[str, Any]) -> str:
    """Short content hash, independent of key order (16 hex digits)."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamped(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its own digest as an annotation."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), DIGEST: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def differs(wanted: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether a stamped manifest must be applied over the live object (None: it does not exist)."""
    return live is None or not contained(wanted, live)


def contained(wanted: Any, live: Any) -> bool:
    """Whether everything wanted is in the live value; quantities compare by value ("1000m" is "1").

    Both are JSON data: plain dicts and lists, whose types are tested as such because this runs over every object of
    every look.
    """
    if wanted == live:
        return True
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            # The API server drops empty maps, lists and strings of optional fields.
            contained(value, live.get(key))
            for key, value in wanted.items()
            if key in live or value not in _EMPTY
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and _list_contained(wanted, live)
    return _same_quantity(wanted, live)


_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def _list_contained(wanted: list[Any], live: list[Any]) -> bool:
    key = _merge_key(wanted)
    if key is None:
        return len(wanted) == len(live) and all(contained(a, b) for a, b in zip(wanted, live, strict=True))
    by_key = {item.get(key): item for item in live if isinstance(item, dict)}
    return all(contained(item, by_key.get(item[key])) for item in wanted)


def _merge_key(items: list[Any]) -> str | None:
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    for key in _MERGE_KEYS:
        if all(key in item for item in items) and len({str(item[key]) for item in items}) == len(items):
            return key
    return None


def _same_quantity(wanted: Any, live: Any) -> bool:
    first, second = _quantity(wanted), _quantity(live)
    return first is not None and first == second


def _quantity(value: Any) -> Decimal | None:
    match = _QUANTITY.match(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    return Decimal(match[1]) * _SCALE[match[2]] if match else None
