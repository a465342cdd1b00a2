"""The imitated prefix cache: which part of a prompt the engine need not read again."""

from __future__ import annotations

from collections import OrderedDict

from .made_up_text import CHARACTERS_PER_TOKEN

__all__ = ["PrefixCache"]

BLOCK_TOKENS = 64
"""Tokens that are kept and dropped together; the real engine's pages are smaller, which costs only precision."""
_BLOCK = BLOCK_TOKENS * CHARACTERS_PER_TOKEN


class PrefixCache:
    """Keeps the blocks of prompts that were used last, as the real radix tree does: beginnings outlive ends."""

    def __init__(self, tokens: int) -> None:
        self._room = tokens // BLOCK_TOKENS
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def read(self, prompt: str) -> int:
        """How many tokens of the prompt's beginning are there (number); afterwards all of it is, as far as it fits."""
        if not self._room:
            return 0
        keys = _keys(prompt)
        found = next((place for place, key in enumerate(keys) if key not in self._blocks), len(keys))
        # The beginning is touched last, so what many prompts share stays longest.
        for key in reversed(keys[: self._room]):
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self._room:
            self._blocks.popitem(last=False)
        return found * BLOCK_TOKENS

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()


def _keys(prompt: str) -> list[int]:
    """A key for each whole block, that depends on all before it."""
    keys, before = [], 0
    for start in range(0, len(prompt) - _BLOCK + 1, _BLOCK):
        before = hash((before, prompt[start : start + _BLOCK]))
        keys.append(before)
    return keys
