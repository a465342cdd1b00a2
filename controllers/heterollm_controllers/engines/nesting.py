"""How deep a free-form field may nest: the API server takes 10,000 levels, no pod has more than a dozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["DEEPEST", "nests_deeper"]

DEEPEST = 32


def nests_deeper(value: Any, levels: int) -> bool:
    """Whether maps and lists nest more than that many levels deep. Goes level by level, without recursion."""
    inside = [value]
    for _ in range(levels + 1):
        inside = [item for item in inside if isinstance(item, Mapping | Sequence) and not isinstance(item, str)]
        if not inside:
            return False
        inside = [item for each in inside for item in _items(each)]
    return True


def _items(value: Mapping[str, Any] | Sequence[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value
