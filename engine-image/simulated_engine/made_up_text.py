"""What the imitated model says: made-up words after a first token that says who made them up."""

from __future__ import annotations

import random

from .config import Identity

__all__ = ["count_tokens", "tokens"]

CHARACTERS_PER_TOKEN = 4
VOCABULARY = ("river", "stone", "field", "light", "water", "paper", "wheel", "table", "copper", "quiet")


def count_tokens(text: str) -> int:
    """A rough token count, enough for queueing and memory."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def tokens(source: random.Random, identity: Identity, count: int) -> list[str]:
    """The answer's tokens: the label, then words; ``"".join`` of them is the text."""
    if count <= 0:
        return []
    label = f"[simulated answer: tier {identity.tier}, engine {identity.engine}, model {identity.model}]"
    return [label, *(f" {word}" for word in source.choices(VOCABULARY, k=count - 1))]
