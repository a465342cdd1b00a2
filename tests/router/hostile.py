"""Requests that nobody should send, each with the statuses that may answer it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Hostile", "expected", "hostile"]

_MODELS = ("auto", "small", "model/large")
_DEEPEST = 128
"""Containers inside each other that the router follows."""
_HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: router\r\nconnection: close\r\n"
_ANY = frozenset((200, 400, 404))

_BASES = (
    '{"model":"auto","messages":[{"role":"user","content":"hello"}]}',
    '{"model": "small", "messages": [{"role": "user", "content": [{"type": "text", "text": "a\\nb"}]}], "n": 1}',
    '{"model":"model\\/large","prompt":["\\u4e2d\\ud83d\\ude00","x"],"max_tokens":1.5e3,"stop":null,"echo":true}',
    '{"a":{"b":[[],{},[{"c":-0.1E+2}]]},"model":"\\u0061uto","tools":[{"type":"function"},{}],"input":"中🎈"}',
    '{"model":"gpt-4","logit_bias":{"1":-100},"stream":false}',
    "{}",
    '[{"model":"auto"}]',
    '"auto"',
)
_PIECES = (
    *"{}[]:,\"\\/ \n\t\r\x00\x1f\x7f0129.-+eEutfn'",
    *(
        '"model":"small",',
        '"model":7,',
        "null",
        "true",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e5",
        "-0",
        "1E-2",
    ),
    *(
        "\\u12",
        "\\x",
        '\\"',
        '"\\',
        "//",
        "/**/",
        "\ufeff",
        "\u2028",
        "é",
        "[[",
        "]]",
        "{}{}",
        ",,",
        '"":',
        "[1,2",
        "}}",
    ),
)
_TYPES = (
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "\x80",
    "",
)
_NOT_HTTP = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /v1/chat/completions HTTP/0.9\r\n\r\n{}",
    b"POST  /v1/chat/completions  HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST http://[::1/v1/models HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-llm-tier: \x00small\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x40\x00\x00\x00\x00\x00\x00\x01" * 9,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\xff" * 200,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    b"\r\n" * 500,
    b"\x00" * 1000,
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-long: " + b"a" * 100_000 + b"\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n" + b"x-many: a\r\n" * 2000 + b"\r\n",
    b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
)


@dataclass(frozen=True)
class Hostile:
    """What is written on a fresh connection."""

    text: bytes
    statuses: frozenset[int] | None
    """What may answer; None: any refusal, or none at all."""


def hostile(chance: random.Random) -> Hostile:
    """Any one of them."""
    kinds: tuple[Callable[[random.Random], Hostile], ...] = (_broken_http, _odd_path, *[_odd_body] * 8)
    return chance.choice(kinds)(chance)


def expected(body: bytes) -> frozenset[int]:
    """The statuses that may answer a chat request with this body."""
    try:
        # Figures do not matter, and some that are valid are too long for Python.
        found = json.loads(body.decode(), parse_constant=_refuse, parse_int=len, parse_float=len)
    except UnicodeDecodeError:
        # The router leaves characters to the engine.
        return _ANY
    except (ValueError, RecursionError):
        return frozenset((400,))
    if not isinstance(found, dict) or _depth(found) > _DEEPEST or not isinstance(found.get("model"), str):
        return frozenset((400,))
    return frozenset((200,)) if found["model"] in _MODELS else frozenset((404,))


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _depth(value: object) -> int:
    """Containers inside each other, of which an empty innermost one does not count."""
    deepest, level = 0, [value]
    while level:
        inside = [
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        ]
        level = [item for items in inside for item in items]
        deepest += bool(level)
    return deepest


def _odd_body(chance: random.Random) -> Hostile:
    make = chance.choice((_mutated, _mutated, _mutated, _deep, _many, _bytes, _random_json))
    body = make(chance)
    kind = chance.choice(_TYPES)
    if chance.random() < 0.3:
        text = _HEAD.encode() + f"content-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode("latin-1")
        return Hostile(text + _chunks(chance, body), expected(body))
    head = f"{_HEAD}content-type: {kind}\r\ncontent-length: {len(body)}\r\n{_forged(chance)}\r\n"
    return Hostile(head.encode("latin-1") + body, expected(body))


def _forged(chance: random.Random) -> str:
    names = (
        "x-llm-tier",
        "x-llm-prefix",
        "x-llm-score",
        "x-llm-priority",
        "x-envoy-retry-on",
        "x-llm-hint",
        "x-llm-client",
    )
    values = ("small", "huge", "", "plan", "\xff", "1" * 1000, "%REQ(x)%")
    return "".join(f"{chance.choice(names)}: {chance.choice(values)}\r\n" for _ in range(chance.randrange(4)))


def _chunks(chance: random.Random, body: bytes) -> bytes:
    size = chance.randint(1, 64)
    cut = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut) + b"0\r\n\r\n"


def _mutated(chance: random.Random) -> bytes:
    text = chance.choice(_BASES)
    for _ in range(chance.randint(0, 4)):
        start, end = sorted(chance.randint(0, len(text)) for _ in range(2))
        edit = chance.randrange(4)
        if edit == 0:
            text = text[:start] + chance.choice(_PIECES) + text[start:]
        elif edit == 1:
            text = text[:start] + text[start + chance.randint(1, 3) :]
        elif edit == 2:
            text = text[:start] + text[start:end] * chance.randint(0, 3) + text[end:]
        else:
            text = text[:start] + chance.choice(_PIECES) + text[start + 1 :]
    return text.encode()


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice((1, 64, 126, 127, 128, 129, 1000, 50_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}"), ('[{"a":[', "]}]")))
    inner = chance.choice(("", "1", '"x"', "[]", "{}"))
    inside = opening * depth + (inner or "0") + closing * (depth - chance.choice((0, 0, 1)))
    key = chance.choice(("a", "messages", "tools", "prompt", "max_tokens", "response_format"))
    return f'{{"{key}":{inside},"model":"small"}}'.encode()


def _many(chance: random.Random) -> bytes:
    item = chance.choice(
        ("{}", "[]", "1", '""', "null", '{"role":"user","content":"a"}', '[{"text":[]}]', "-1.5e3", '"\\n"')
    )
    key = chance.choice(("a", "messages", "tools", "prompt", "input"))
    items = ",".join([item] * chance.choice((1, 9, 99, 999, 20_010)))
    return f'{{"model":"{chance.choice(_MODELS)}","{key}":[{items}{chance.choice(("", "", ",", "}"))}]}}'.encode()


def _bytes(chance: random.Random) -> bytes:
    return chance.choice((b"", b'{"model":"small","a":"')) + chance.randbytes(chance.randint(0, 200))


def _random_json(chance: random.Random) -> bytes:
    value = {
        "model": chance.choice((*_MODELS, "", "AUTO", None, 7)),
        **{_word(chance): _value(chance, 4) for _ in range(5)},
    }
    ascii_only, spaced = chance.random() < 0.5, chance.choice((None, 1))
    text = json.dumps(value, ensure_ascii=ascii_only, indent=spaced)
    return text.encode("utf-8", "surrogatepass" if ascii_only else "replace")


def _word(chance: random.Random) -> str:
    known = ("messages", "content", "role", "text", "type", "input", "tools", "max_tokens", "reasoning", "format")
    return chance.choice((*known, "".join(chance.choices('aé中🎈"\\/\n\x00', k=3))))


def _value(chance: random.Random, depth: int) -> object:
    if depth and chance.random() < 0.6:
        items = [_value(chance, depth - 1) for _ in range(chance.randrange(5))]
        return items if chance.random() < 0.5 else {_word(chance): item for item in items}
    return chance.choice((None, True, False, 0, -1, 1e300, 10**40, 0.1, "", "user", "hello", _word(chance) * 50))


def _odd_path(chance: random.Random) -> Hostile:
    paths = (
        "/",
        "/v1/models/../../x",
        "/v1/chat/completions/x",
        "//v1//x",
        "/%00",
        "/v1/chat%2fcompletions",
        "/x?y#z",
        "*",
    )
    method = chance.choice(("POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE", "BREW"))
    text = f"{method} {chance.choice(paths)} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    return Hostile(text.encode(), frozenset((400, 404)))


def _broken_http(chance: random.Random) -> Hostile:
    text = bytearray(chance.choice(_NOT_HTTP))
    for _ in range(chance.choice((0, 0, 1, 5))):
        text[chance.randrange(min(len(text), 200))] = chance.randrange(256)
    return Hostile(bytes(text), None)
