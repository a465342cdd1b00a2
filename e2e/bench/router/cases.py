"""What is sent: chat requests as agents send them, of two sizes, plain and streamed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

__all__ = ["CASES", "KEY", "MODEL", "Case", "messages"]

MODEL = "auto"
"""What every request asks for, unless a side says otherwise; all sides know it."""
KEY = "sk-bench-0123456789abcdef0123456789abcdef"
"""The key that every client sends; our router and LiteLLM ask for it, the others pass it on or ignore it."""

_CONVERSATIONS = 64
"""Different conversations in turn, so that no side profits from having seen the very same bytes just before."""
_SYSTEM = (
    "You are a careful assistant for an online shop. Answer briefly, in the customer's language. Quote orders as "
    '"#12345". Never promise a refund; offer to hand over to a colleague instead.\nToday is Tuesday.'
)
_CHATTER = (
    "the order of my parcel has not yet arrived although its tracking says delivered on Monday please look where it is "
    "and whether the invoice can be sent to another address because we have moved last month and nobody forwards "
    "letters here is what your colleague wrote: »wir kümmern uns darum« – is that so?"
)
_WORDS = _CHATTER.split()


@dataclass(frozen=True)
class Case:
    """One kind of load.

    Attributes:
        bytes: about the length of a request's body.
        stream: whether the answer is streamed.
        connections: clients that each send their next request when the last one is answered.
    """

    bytes: int
    stream: bool
    connections: int

    @property
    def name(self) -> str:
        """As shown in tables."""
        kind = "streamed" if self.stream else "plain"
        plural = "s" if self.connections > 1 else ""
        return f"{self.bytes >> 10} KB, {kind}, {self.connections} connection{plural}"


CASES = (
    Case(2 << 10, False, 1),
    Case(2 << 10, False, 16),
    Case(2 << 10, False, 128),
    Case(16 << 10, False, 16),
    Case(2 << 10, True, 32),
    Case(16 << 10, True, 32),
)


def messages(case: Case, model: str) -> list[bytes]:
    """The case's requests as they go over the wire, to be sent in turn."""
    return [_on_the_wire(_body(case, model, number)) for number in range(_CONVERSATIONS)]


def _body(case: Case, model: str, number: int) -> bytes:
    """A system prompt and as many turns as the length needs; the same for the same number in every run."""
    draw = random.Random(number)
    talk = [{"role": "system", "content": _SYSTEM}]
    body = {
        "model": model,
        "messages": talk,
        "temperature": 0.7,
        "max_tokens": 256,
        "user": f"customer-{number}",
        "stream": case.stream,
    }
    length = len(_encoded(body))
    while length < case.bytes:
        role = "assistant" if len(talk) % 2 == 0 else "user"
        turn = {"role": role, "content": " ".join(draw.choices(_WORDS, k=40)) + ".\n"}
        talk.append(turn)
        length += len(_encoded(turn)) + 1
    return _encoded(body)


def _encoded(value: object) -> bytes:
    """As OpenAI's client writes JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _on_the_wire(body: bytes) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: router\r\nUser-Agent: OpenAI/Python\r\n"
        f"Accept: application/json\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
