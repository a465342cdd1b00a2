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

from heterollm_controllers.api.names import GROUP
from heterollm_controllers.render.strategic_merge import MERGE_KEY

__all__ = ["DIGEST", "contained", "differs", "digest", "stamped"]

DIGEST = f"{GROUP}/applied"
"""Annotation with the digest of the object as applied."""

_LIST_KEYS: dict[str, tuple[str, ...]] = {
    **{field: (key,) for field, key in MERGE_KEY.items()},
    "ports": ("containerPort", "name"),  # of a container, of a Service; those of a NetworkPolicy have neither
    "ownerReferences": ("uid",),
    "claims": ("name",),
}
"""Lists whose items server-side apply merges by a key, so that others may add items; all other lists are ours whole."""

_AMOUNT = "sizeLimit"
_AMOUNTS = frozenset({"requests", "limits", "overhead"})
"""Where quantities stand: the API server writes them its own way. Elsewhere "1" and "1000m" are different texts."""

_DROPPED_WHEN_ZERO = frozenset(
    {
        *("hostIPC", "hostNetwork", "hostPID", "hostPort", "initialDelaySeconds"),
        *("readOnly", "stdin", "stdinOnce", "tty"),
    }
)
"""Fields of a pod template that the API server leaves out when they are false or 0."""

_QUANTITY = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numk]|[KMGTPE]i?)|[eE]([+-]?[0-9]{1,2}))?$")
_SCALE = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3),
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


def contained(wanted: Any, live: Any, field: str = "") -> bool:
    """Whether everything wanted is in the live value, as the API server merges and writes it.

    Both are JSON data: plain dicts and lists, whose types are tested as such because this runs over every object of
    every reconcile. `field` is the name of the field whose values they are.
    """
    if wanted == live:
        return True
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            contained(value, live.get(key), _AMOUNT if field in _AMOUNTS else key)
            for key, value in wanted.items()
            if key in live or not _left_out(key, value)
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and _list_contained(wanted, live, field)
    return field == _AMOUNT and _same_quantity(wanted, live)


_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def _left_out(field: str, value: Any) -> bool:
    """Whether the API server does not store such a value of an optional field."""
    return value in _EMPTY or (not value and field in _DROPPED_WHEN_ZERO)


def _list_contained(wanted: list[Any], live: list[Any], field: str) -> bool:
    for key in _LIST_KEYS.get(field, ()):
        if _tells_apart(key, wanted):
            by_key = {item.get(key): item for item in live if isinstance(item, dict)}
            return all(contained(item, by_key.get(item[key])) for item in wanted)
    return len(wanted) == len(live) and all(contained(a, b, field) for a, b in zip(wanted, live, strict=True))


def _tells_apart(key: str, items: list[Any]) -> bool:
    if not all(isinstance(item, dict) and key in item for item in items):
        return False
    return len({str(item[key]) for item in items}) == len(items)


def _same_quantity(wanted: Any, live: Any) -> bool:
    first, second = _quantity(wanted), _quantity(live)
    return first is not None and first == second


def _quantity(value: Any) -> Decimal | None:
    match = _QUANTITY.match(str(value)) if isinstance(value, int | float | str) else None
    if match is None:
        return None
    scale = _SCALE[match[2]] if match[2] else Decimal(10) ** int(match[3] or 0)
    return Decimal(match[1]) * scale
