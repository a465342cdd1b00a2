"""What a value must look like for SGLang's parser to take it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from heterollm_controllers.sglang.flags.catalogue import Flag

__all__ = ["expands", "human_int", "wrong_count", "wrong_value"]

_REFERENCE = re.compile(r"\$\([^()]+\)")
_SUFFIXED = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)", re.ASCII)
_DECIMAL = MappingProxyType({"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12})
_BINARY = MappingProxyType({"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40})
_OBJECTS = frozenset({"--cuda-graph-config"})
"""JSON that SGLang's parser itself takes only as an object; of other flags it looks later, and at what is inside."""
_LISTED = 8
"""Choices named in a message; a longer list is answered with the nearest ones."""


def expands(value: str) -> bool:
    """Whether the kubelet puts something else in its place, so that nothing can be said of it here."""
    return _REFERENCE.search(value) is not None


def human_int(text: str) -> int:
    """A whole number, perhaps with k, M, G, T (thousands) or Ki, Mi, Gi, Ti.

    Raises:
        ValueError: it is none.
    """
    match = _SUFFIXED.fullmatch(text.strip())
    if match is None:
        return int(text)
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(Decimal(number) * _DECIMAL[suffix])
    return int(number) * _BINARY[suffix]


_READERS: Mapping[str, tuple[Callable[[str], object], str]] = MappingProxyType(
    {
        "int": (int, "a whole number"),
        "human-int": (human_int, "a whole number such as 32768, 32k or 32Ki"),
        "float": (float, "a number"),
        "str": (str, "text"),
        "json": (json.loads, "JSON"),
    }
)


def wrong_count(flag: Flag, values: tuple[str, ...], joined: bool) -> str | None:
    """What is wrong with how many values there are."""
    if flag.switch:
        return "is a switch and takes no value" if values or joined else None
    if flag.nargs in ("*", "?") or values:
        return None
    return "needs a value"


def wrong_value(flag: Flag, value: str) -> str | None:
    """What is wrong with one value."""
    if expands(value):
        return None
    read, expected = _READERS[flag.kind]
    try:
        as_read = read(value)
    except (ValueError, RecursionError):
        return f"takes {expected}, not '{value}'"
    if flag.name in _OBJECTS and not isinstance(as_read, dict):
        return f"takes a JSON object, not '{value}'"
    if flag.choices is not None and str(as_read) not in flag.choices:
        return f"does not know '{value}': {_offer(flag.choices, value)}"
    return None


def _offer(choices: tuple[str, ...], value: str) -> str:
    if len(choices) <= _LISTED:
        return f"choose one of {', '.join(choices)}"
    near = difflib.get_close_matches(value, choices, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(choices)}"
