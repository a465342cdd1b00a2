"""Reading JSON that others wrote: the API server stores documents that nest deeper than Python can follow.

The server takes up to 10,000 levels, Python's reader gives up at about its recursion limit, and whatever walks a
document recursively does so earlier. So what nests too deep is cut out of the text before anything reads it, without
recursion and in time linear in the text.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

__all__ = ["DEEPEST", "decode", "is_cut", "read", "read_large"]

DEEPEST = 100
"""Levels that are read. A Pod has about 12; the core refuses free-form fields long before."""

_LARGE = 256 * 1024
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_BARE_STRING = re.compile(rb'"[^"]*"')
_NO_TOKENS = bytes(set(range(256)) - set(b'[]{}"'))
_BRACES = bytes.maketrans(b"[]", b"{}")


def decode(data: bytes) -> Any:
    """The document, without what nests too deep. Raises ValueError when it is not JSON."""
    return read(data)[0]


def read(data: bytes) -> tuple[Any, bool]:
    """As `decode`, and whether anything was cut out."""
    cut = nests_too_deep(data)
    text = (prune(data) if cut else data).decode(errors="replace")
    return json.loads(text), cut


async def read_large(data: bytes) -> tuple[Any, bool]:
    """As `read`, in a thread if it could take long: 100 of the deepest objects take seconds."""
    return await asyncio.to_thread(read, data) if len(data) > _LARGE else read(data)


def is_cut(value: Any) -> bool:
    """Whether a part of a document that `read` cut is one of those that nested too deep."""
    return nests_too_deep(json.dumps({"part": [value]}).encode())


def nests_too_deep(data: bytes) -> bool:
    """Whether a document has more than `DEEPEST` levels."""
    if data.count(b"{") + data.count(b"[") <= DEEPEST:
        return False
    levels = _braces(data)
    for _ in range(DEEPEST):
        levels = levels.replace(b"{}", b"")  # the innermost level goes
        if not levels:
            return False
    return True


def prune(data: bytes) -> bytes:
    """The document with the maps and lists one level below `DEEPEST` emptied: what was too deep remains so."""
    kept, start, depth = [], 0, 0
    for token in _TOKENS.finditer(data):
        first = token[0][:1]
        if first in b"{[":
            depth += 1
            if depth == DEEPEST + 1:
                kept.append(data[start : token.end()])
        elif first in b"}]":
            if depth == DEEPEST + 1:
                start = token.start()
            depth -= 1
    return b"".join([*kept, data[start:]])


def _braces(data: bytes) -> bytes:
    """A brace for every bracket outside of strings. Every event passes here, hence only whole-text operations."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = data.translate(_BRACES, _NO_TOKENS).replace(b'""', b"")
    return _BARE_STRING.sub(b"", bare) if b'"' in bare else bare
