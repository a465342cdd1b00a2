"""Chat requests to a routing Service, as any OpenAI-compatible client makes them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

__all__ = ["Answer", "ask", "stream"]

_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Answer:
    """What came back: the HTTP status, the text (or the error's message), and the routers' headers."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def tier(self) -> str:
        """The tier that answered, as the router says."""
        return self.headers.get("x-llm-tier", "?")

    @property
    def score(self) -> str:
        """The complexity score in [0, 1] the router gave the request; "-" when it did not need one."""
        return self.headers.get("x-llm-score", "-")


def ask(url: str, text: str, model: str = "auto", max_tokens: int = 48) -> Answer:
    """One plain chat request. HTTP errors are answers too; only a broken connection raises (OSError)."""
    try:
        with _post(url, _body(text, model, max_tokens, stream=False)) as response:
            message = json.load(response)["choices"][0]["message"]["content"]
            return Answer(response.status, message, _headers(response.headers.items()))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(errors="replace"), _headers(error.headers.items()))


def stream(url: str, text: str, model: str = "auto", max_tokens: int = 48) -> tuple[Answer, Iterator[str]]:
    """One streamed chat request: the head of the answer at once, and the pieces of text as they arrive."""
    response = _post(url, _body(text, model, max_tokens, stream=True))
    return Answer(response.status, "", _headers(response.headers.items())), _pieces(response)


def _post(url: str, body: dict[str, Any]) -> HTTPResponse:
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    return response


def _body(text: str, model: str, max_tokens: int, stream: bool) -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return {"model": model, "messages": [message], "max_tokens": max_tokens, "stream": stream}


def _headers(items: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in items}


def _pieces(response: HTTPResponse) -> Iterator[str]:
    with response:
        for line in response:
            data = line.decode().strip().removeprefix("data:").strip()
            if data and data != "[DONE]":
                for choice in json.loads(data)["choices"]:
                    yield choice["delta"].get("content") or ""
