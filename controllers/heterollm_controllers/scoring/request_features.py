"""What the score is measured of in a request: the same as protocol/request.rs and score/ in the router's module see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

__all__ = ["MEASURES", "RequestFeatures", "request_features"]

_MEDIA = ("image", "audio", "video", "file")
"""In the types of parts: image_url, input_image, input_audio, video_url, file, ..."""
_BUDGETS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_FORMATS = {"json_schema": 2, "structural_tag": 2, "json_object": 1}
_EFFORTS = {"medium": 1, "high": 2, "xhigh": 2, "ultra": 2, "max": 2}


@dataclass(frozen=True)
class RequestFeatures:
    """A request as the score sees it."""

    body: Mapping[str, Any]
    texts: tuple[str, ...]
    """All text, message by message."""
    question: tuple[str, ...]
    """Texts of the newest message of the user, or of anybody if no user says anything."""
    turns: int
    """Messages."""
    media: int
    """Images, recordings, films and files."""


def request_features(body: Mapping[str, Any]) -> RequestFeatures:
    """What is not understood is passed over: the engine refuses it or knows better."""
    listed = [messages for messages in (body.get("messages"), body.get("input")) if isinstance(messages, list)]
    said: list[tuple[Any, Any]] = [("system", body.get("instructions"))]
    said += [(each.get("role"), each.get("content")) for each in chain(*listed) if isinstance(each, Mapping)]
    if isinstance(body.get("input"), str):
        said.append(("user", body["input"]))
    said.append(("user", body.get("prompt")))

    parts = [(role, _parts(content)) for role, content in said]
    spoken = [(role, [text for text in found if text is not None]) for role, found in parts]
    with_text = [(role, texts) for role, texts in spoken if texts]
    by_user = [texts for role, texts in with_text if role == "user"]
    newest = by_user or [texts for _, texts in with_text] or [[]]
    return RequestFeatures(
        body=body,
        texts=tuple(text for _, texts in spoken for text in texts),
        question=tuple(newest[-1]),
        turns=sum(len(messages) for messages in listed),
        media=sum(text is None for _, found in parts for text in found),
    )


def _parts(content: object) -> list[str | None]:
    """The texts of a message's content, and None for each medium; content is a string, a part, or a list of those."""
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [found for part in content for found in _parts(part)]
    if not isinstance(content, Mapping):
        return []
    kind, text = content.get("type"), content.get("text")
    if isinstance(text, str):
        return [text]
    return [None] if isinstance(kind, str) and any(medium in kind for medium in _MEDIA) else []


def _length(seen: RequestFeatures) -> float:
    # A lone half of a character beyond the basic plane counts two bytes, as in a whole one.
    return sum(len(text.encode("utf-8", "surrogatepass")) - _lone_halves(text) for text in seen.texts)


def _lone_halves(text: str) -> int:
    return sum("\ud800" <= character <= "\udfff" for character in text)


def _tools(seen: RequestFeatures) -> float:
    tools = seen.body.get("tools")
    return len(tools) if isinstance(tools, list) else 0


def _budget(seen: RequestFeatures) -> float:
    return next((tokens for name in _BUDGETS if (tokens := _number(seen.body.get(name))) is not None), 0)


def _structure(seen: RequestFeatures) -> float:
    body = seen.body
    if any(isinstance(body.get(name), str) for name in ("regex", "ebnf")):
        return 2
    kinds = (_text(body.get("response_format"), "type"), _text(_field(body.get("text"), "format"), "type"))
    return _FORMATS.get(next((kind for kind in kinds if kind is not None), ""), 0)


def _effort(seen: RequestFeatures) -> float:
    effort = seen.body.get("reasoning_effort")
    share = _number(effort)
    if share is not None:
        # SGLang takes a share of the highest effort too.
        return 2 * share
    known = _EFFORTS.get(effort) if isinstance(effort, str) else None
    return known or _EFFORTS.get(_text(seen.body.get("reasoning"), "effort") or "", 0)


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _field(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None


def _text(value: object, key: str) -> str | None:
    found = _field(value, key)
    return found if isinstance(found, str) else None


MEASURES: Mapping[str, Callable[[RequestFeatures], float]] = {
    "length": _length,
    "turns": lambda seen: seen.turns,
    "tools": _tools,
    "structure": _structure,
    "effort": _effort,
    "budget": _budget,
    "media": lambda seen: seen.media,
}
"""Features that are not signs in the text."""
