"""Clients as a service has them: short questions and long tasks for `auto`, half of the answers streamed."""

from __future__ import annotations

import random
from typing import Any

from e2e.demo import HARD
from e2e.steering.crowd import Crowd

__all__ = ["Visitors"]

_TASKS = (
    ("You answer questions about orders.", "Where is order {}?"),
    ("You translate into French.", "Good morning, {}."),
)
_HARD_SHARE = 0.1


class Visitors(Crowd):
    """Requests for `auto`; the text of a request follows from its number."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "auto", pause=0.3)

    def body(self, number: int) -> dict[str, Any]:
        """Two tasks that are simple, and now and then one that the scorer finds hard."""
        chance = random.Random(number)
        system, text = chance.choice(_TASKS)
        question = f"{number}: {HARD}" if chance.random() < _HARD_SHARE else text.format(number)
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        return {"model": "auto", "messages": messages, "max_tokens": 8, "stream": chance.random() < 0.5}
