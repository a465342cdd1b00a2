"""The endpoints that produce text, plain and streamed."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from . import prompts
from .engine import Engine
from .errors import ApiError, error_body, error_response
from .prompts import Ask
from .replies import ChatFormat, CompletionFormat, Format, GenerateFormat, event
from .scheduler import Aborted, QueueFull
from .turns import Request, Turn

__all__ = ["Inference"]

STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class Inference:
    """Handlers bound to one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        ask = prompts.chat(await prompts.read_json(http, strict_type=True))
        return await self._answer(http, ask, ChatFormat(self._engine.config.identity, ask.model))

    async def completion(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        ask = prompts.completion(await prompts.read_json(http, strict_type=True))
        return await self._answer(http, ask, CompletionFormat(self._engine.config.identity, ask.model))

    async def generate(self, http: web.Request) -> web.StreamResponse:
        """POST /generate; its bad requests have a shape of their own."""
        try:
            ask = prompts.generate(await prompts.read_json(http, strict_type=False))
            form = GenerateFormat(self._engine.config.identity, ask.model, ask.batched)
            return await self._answer(http, ask, form)
        except ApiError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            return web.json_response({"error": {"message": error.message}}, status=error.status)

    async def _answer(self, http: web.Request, ask: Ask, form: Format) -> web.StreamResponse:
        if ask.stream:
            return await self._stream(http, ask, form)
        try:
            done = await self._all(ask.requests)
        except (QueueFull, Aborted) as refusal:
            return error_response(_refused(refusal))
        return web.json_response(form.whole([turn for turn, _ in done], [text for _, text in done]))

    async def _all(self, requests: tuple[Request, ...]) -> list[tuple[Turn, str]]:
        if len(requests) == 1:
            return [await self._one(requests[0])]
        tasks = [asyncio.create_task(self._one(request)) for request in requests]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # One refusal refuses the whole request: give the others' slots back.
            for task in tasks:
                task.cancel()

    async def _one(self, request: Request) -> tuple[Turn, str]:
        async with self._engine.turn(request, streaming=False) as turn:
            return turn, await turn.whole()

    async def _stream(self, http: web.Request, ask: Ask, form: Format) -> web.StreamResponse:
        response = web.StreamResponse(headers=STREAM_HEADERS)
        try:
            async with self._engine.turn(ask.requests[0], streaming=True) as turn:
                await self._write(http, response, ask, form, turn)
        except (QueueFull, Aborted) as refusal:
            # As in SGLang: a streamed request is refused inside a 200, where no proxy can retry it.
            await response.prepare(http)
            await response.write(event({"error": error_body(_refused(refusal))}))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    @staticmethod
    async def _write(http: web.Request, response: web.StreamResponse, ask: Ask, form: Format, turn: Turn) -> None:
        text = ""
        async for piece in turn.pieces():
            text += piece
            if not response.prepared:
                await response.prepare(http)
                await _write_all(response, form.opening(turn))
            await response.write(event(form.piece(turn, piece, text)))
        if not response.prepared:
            await response.prepare(http)
        await _write_all(response, form.closing(turn, text, ask.include_usage))


async def _write_all(response: web.StreamResponse, values: list[dict[str, object]]) -> None:
    if values:
        await response.write(b"".join(event(value) for value in values))


def _refused(refusal: QueueFull | Aborted) -> ApiError:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "The request queue is full." if isinstance(refusal, QueueFull) else "The request was aborted."
    return ApiError(status, message, str(status.value))
