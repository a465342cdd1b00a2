"""Answering: whole bodies and server-sent events in the shapes of SGLang's endpoints."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod

from .config import Identity
from .turns import Turn

__all__ = ["ChatFormat", "CompletionFormat", "Format", "GenerateFormat", "Json", "event"]

Json = dict[str, object]

SIMULATION_NOTE = "Simulated: no model was run."


def usage(turns: list[Turn]) -> Json:
    """Token counts over all choices."""
    prompt = sum(turn.job.prompt_tokens for turn in turns)
    generated = sum(turn.sent for turn in turns)
    cached = [turn.cached_tokens for turn in turns if turn.cached_tokens is not None]
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + generated,
        "completion_tokens": generated,
        "prompt_tokens_details": {"cached_tokens": sum(cached)} if cached else None,
        "reasoning_tokens": 0,
    }


class Format(ABC):
    """How one endpoint writes its answers."""

    def __init__(self, identity: Identity, model: str) -> None:
        self._identity = identity
        self._model = model
        self._created = int(time.time())

    @abstractmethod
    def whole(self, turns: list[Turn], texts: list[str]) -> object:
        """The body of a plain answer."""

    def opening(self, turn: Turn) -> list[Json]:
        """Events before the first text."""
        del turn
        return []

    @abstractmethod
    def piece(self, turn: Turn, text: str, sent: str) -> Json:
        """The event for a new piece of text; ``sent`` is all text so far, this piece included."""

    def closing(self, turn: Turn, text: str, include_usage: bool) -> list[Json]:
        """Events after the last text."""
        del turn, text, include_usage
        return []


class _OpenAIFormat(Format):
    object_name = ""
    chunk_name = ""

    def _envelope(self, turn: Turn, choices: list[Json], name: str) -> Json:
        return {
            "id": turn.job.rid,
            "object": name,
            "created": self._created,
            "model": self._model,
            "choices": choices,
            "system_fingerprint": f"simulated-{self._identity.engine}",
        }

    def _body(self, turns: list[Turn], choices: list[Json]) -> Json:
        return {
            **self._envelope(turns[0], choices, self.object_name),
            "usage": usage(turns),
            "metadata": {
                "weight_version": "default",
                "note": SIMULATION_NOTE,
                "served_model": self._identity.model,
                "tier": self._identity.tier,
                "engine": self._identity.engine,
            },
        }

    def _chunk(self, turn: Turn, choice: Json) -> Json:
        return self._envelope(turn, [choice], self.chunk_name)

    def _usage_chunk(self, turn: Turn) -> Json:
        return {**self._envelope(turn, [], self.chunk_name), "usage": usage([turn])}


class ChatFormat(_OpenAIFormat):
    """/v1/chat/completions."""

    object_name = "chat.completion"
    chunk_name = "chat.completion.chunk"

    def whole(self, turns: list[Turn], texts: list[str]) -> object:
        choices: list[Json] = [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "reasoning_content": None},
                "logprobs": None,
                "finish_reason": turn.finish_reason,
                "matched_stop": None,
            }
            for index, (turn, text) in enumerate(zip(turns, texts, strict=True))
        ]
        return self._body(turns, choices)

    def opening(self, turn: Turn) -> list[Json]:
        return [self._delta(turn, {"role": "assistant", "content": ""}, None)]

    def piece(self, turn: Turn, text: str, sent: str) -> Json:
        del sent
        return self._delta(turn, {"content": text}, None)

    def closing(self, turn: Turn, text: str, include_usage: bool) -> list[Json]:
        last = self._delta(turn, {}, turn.finish_reason)
        return [last, self._usage_chunk(turn)] if include_usage else [last]

    def _delta(self, turn: Turn, delta: Json, finish: str | None) -> Json:
        choice: Json = {
            "index": 0,
            "delta": {"reasoning_content": None, **delta},
            "logprobs": None,
            "finish_reason": finish,
            "matched_stop": None,
        }
        return self._chunk(turn, choice)


class CompletionFormat(_OpenAIFormat):
    """/v1/completions; SGLang's chunks carry the same object name as the whole answer."""

    object_name = chunk_name = "text_completion"

    def whole(self, turns: list[Turn], texts: list[str]) -> object:
        choices = [
            self._choice(index, text, turn.finish_reason)
            for index, (turn, text) in enumerate(zip(turns, texts, strict=True))
        ]
        return self._body(turns, choices)

    def piece(self, turn: Turn, text: str, sent: str) -> Json:
        del sent
        return self._chunk(turn, self._choice(0, text, None))

    def closing(self, turn: Turn, text: str, include_usage: bool) -> list[Json]:
        last = self._chunk(turn, self._choice(0, "", turn.finish_reason))
        return [last, self._usage_chunk(turn)] if include_usage else [last]

    @staticmethod
    def _choice(index: int, text: str, finish: str | None) -> Json:
        return {
            "index": index,
            "text": text,
            "logprobs": None,
            "finish_reason": finish,
            "matched_stop": None,
        }


class GenerateFormat(Format):
    """/generate: each event repeats the whole text so far."""

    def __init__(self, identity: Identity, model: str, batched: bool) -> None:
        super().__init__(identity, model)
        self._batched = batched

    def whole(self, turns: list[Turn], texts: list[str]) -> object:
        found = [self._output(turn, text, turn.finish_reason) for turn, text in zip(turns, texts, strict=True)]
        return found if self._batched else found[0]

    def piece(self, turn: Turn, text: str, sent: str) -> Json:
        return self._output(turn, sent, None)

    def closing(self, turn: Turn, text: str, include_usage: bool) -> list[Json]:
        return [self._output(turn, text, turn.finish_reason)]

    def _output(self, turn: Turn, text: str, finish: str | None) -> Json:
        reason: Json | None = None
        if finish is not None:
            reason = {"type": finish}
            if finish == "length":
                reason["length"] = turn.sent
        return {
            "text": text,
            "output_ids": list(range(turn.sent)),
            "meta_info": {
                "id": turn.job.rid,
                "finish_reason": reason,
                "prompt_tokens": turn.job.prompt_tokens,
                "weight_version": "default",
                "num_retractions": 0,
                "reasoning_tokens": 0,
                "completion_tokens": turn.sent,
                "cached_tokens": turn.job.cached_tokens,
                "simulated": SIMULATION_NOTE,
                "tier": self._identity.tier,
                "engine": self._identity.engine,
            },
        }


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
