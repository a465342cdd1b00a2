"""Answering: whole bodies and server-sent events in the shapes of SGLang's endpoints."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod

from .config import Identity
from .generation import Generation

__all__ = ["ChatFormat", "CompletionFormat", "Format", "GenerateFormat", "Json", "event"]

Json = dict[str, object]

SIMULATION_NOTE = "Simulated: no model was run."


def usage(generations: list[Generation]) -> Json:
    """Token counts over all choices."""
    prompt = sum(generation.job.prompt_tokens for generation in generations)
    generated = sum(generation.sent for generation in generations)
    cached = [generation.cached_tokens for generation in generations if generation.cached_tokens is not None]
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
    def whole(self, generations: list[Generation], texts: list[str]) -> object:
        """The body of a plain answer."""

    def opening(self, generation: Generation) -> list[Json]:
        """Events before the first text."""
        del generation
        return []

    @abstractmethod
    def piece(self, generation: Generation, text: str, sent: str) -> Json:
        """The event for a new piece of text; ``sent`` is all text so far, this piece included."""

    def closing(self, generation: Generation, text: str, include_usage: bool) -> list[Json]:
        """Events after the last text."""
        del generation, text, include_usage
        return []


class _OpenAIFormat(Format):
    object_name = ""
    chunk_name = ""

    def _envelope(self, generation: Generation, choices: list[Json], name: str) -> Json:
        return {
            "id": generation.job.rid,
            "object": name,
            "created": self._created,
            "model": self._model,
            "choices": choices,
            "system_fingerprint": f"simulated-{self._identity.engine}",
        }

    def _body(self, generations: list[Generation], choices: list[Json]) -> Json:
        return {
            **self._envelope(generations[0], choices, self.object_name),
            "usage": usage(generations),
            "metadata": {
                "weight_version": "default",
                "note": SIMULATION_NOTE,
                "served_model": self._identity.model,
                "tier": self._identity.tier,
                "engine": self._identity.engine,
            },
        }

    def _chunk(self, generation: Generation, choice: Json) -> Json:
        return self._envelope(generation, [choice], self.chunk_name)

    def _usage_chunk(self, generation: Generation) -> Json:
        return {**self._envelope(generation, [], self.chunk_name), "usage": usage([generation])}


class ChatFormat(_OpenAIFormat):
    """/v1/chat/completions."""

    object_name = "chat.completion"
    chunk_name = "chat.completion.chunk"

    def whole(self, generations: list[Generation], texts: list[str]) -> object:
        choices: list[Json] = [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "reasoning_content": None},
                "logprobs": None,
                "finish_reason": generation.finish_reason,
                "matched_stop": None,
            }
            for index, (generation, text) in enumerate(zip(generations, texts, strict=True))
        ]
        return self._body(generations, choices)

    def opening(self, generation: Generation) -> list[Json]:
        return [self._delta(generation, {"role": "assistant", "content": ""}, None)]

    def piece(self, generation: Generation, text: str, sent: str) -> Json:
        del sent
        return self._delta(generation, {"content": text}, None)

    def closing(self, generation: Generation, text: str, include_usage: bool) -> list[Json]:
        last = self._delta(generation, {}, generation.finish_reason)
        return [last, self._usage_chunk(generation)] if include_usage else [last]

    def _delta(self, generation: Generation, delta: Json, finish: str | None) -> Json:
        choice: Json = {
            "index": 0,
            "delta": {"reasoning_content": None, **delta},
            "logprobs": None,
            "finish_reason": finish,
            "matched_stop": None,
        }
        return self._chunk(generation, choice)


class CompletionFormat(_OpenAIFormat):
    """/v1/completions; SGLang's chunks carry the same object name as the whole answer."""

    object_name = chunk_name = "text_completion"

    def whole(self, generations: list[Generation], texts: list[str]) -> object:
        choices = [
            self._choice(index, text, generation.finish_reason)
            for index, (generation, text) in enumerate(zip(generations, texts, strict=True))
        ]
        return self._body(generations, choices)

    def piece(self, generation: Generation, text: str, sent: str) -> Json:
        del sent
        return self._chunk(generation, self._choice(0, text, None))

    def closing(self, generation: Generation, text: str, include_usage: bool) -> list[Json]:
        last = self._chunk(generation, self._choice(0, "", generation.finish_reason))
        return [last, self._usage_chunk(generation)] if include_usage else [last]

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

    def whole(self, generations: list[Generation], texts: list[str]) -> object:
        found = [
            self._output(generation, text, generation.finish_reason)
            for generation, text in zip(generations, texts, strict=True)
        ]
        return found if self._batched else found[0]

    def piece(self, generation: Generation, text: str, sent: str) -> Json:
        return self._output(generation, sent, None)

    def closing(self, generation: Generation, text: str, include_usage: bool) -> list[Json]:
        return [self._output(generation, text, generation.finish_reason)]

    def _output(self, generation: Generation, text: str, finish: str | None) -> Json:
        reason: Json | None = None
        if finish is not None:
            reason = {"type": finish}
            if finish == "length":
                reason["length"] = generation.sent
        return {
            "text": text,
            "output_ids": list(range(generation.sent)),
            "meta_info": {
                "id": generation.job.rid,
                "finish_reason": reason,
                "prompt_tokens": generation.job.prompt_tokens,
                "weight_version": "default",
                "num_retractions": 0,
                "reasoning_tokens": 0,
                "completion_tokens": generation.sent,
                "cached_tokens": generation.job.cached_tokens,
                "simulated": SIMULATION_NOTE,
                "tier": self._identity.tier,
                "engine": self._identity.engine,
            },
        }


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
