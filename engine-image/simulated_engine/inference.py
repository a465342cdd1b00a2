"""The endpoints that produce text, plain and streamed."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from . import request_parsing
from .engine import Engine
from .errors import ApiError, error_body, error_response
from .generation import Generation, Request
from .request_parsing import ParsedRequest
from .response_formats import ChatFormat, CompletionFormat, Format, GenerateFormat, event
from .scheduler import Aborted, QueueFull

__all__ = ["Inference"]

STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class Inference:
    """Handlers bound to one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        parsed = request_parsing.chat(await request_parsing.read_json(http, strict_type=True))
        return await self._answer(http, parsed, ChatFormat(self._engine.config.identity, parsed.model))

    async def completion(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        parsed = request_parsing.completion(await request_parsing.read_json(http, strict_type=True))
        return await self._answer(http, parsed, CompletionFormat(self._engine.config.identity, parsed.model))

    async def generate(self, http: web.Request) -> web.StreamResponse:
        """POST /generate; its bad requests have a shape of their own."""
        try:
            parsed = request_parsing.generate(await request_parsing.read_json(http, strict_type=False))
            form = GenerateFormat(self._engine.config.identity, parsed.model, parsed.batched)
            return await self._answer(http, parsed, form)
        except ApiError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            return web.json_response({"error": {"message": error.message}}, status=error.status)

    async def _answer(self, http: web.Request, parsed: ParsedRequest, form: Format) -> web.StreamResponse:
        if parsed.stream:
            return await self._stream(http, parsed, form)
        try:
            done = await self._all(parsed.requests)
        except (QueueFull, Aborted) as refusal:
            return error_response(_refused(refusal))
        return web.json_response(form.whole([generation for generation, _ in done], [text for _, text in done]))

    async def _all(self, requests: tuple[Request, ...]) -> list[tuple[Generation, str]]:
        if len(requests) == 1:
            return [await self._one(requests[0])]
        tasks = [asyncio.create_task(self._one(request)) for request in requests]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # One refusal refuses the whole request: give the others' slots back.
            for task in tasks:
                task.cancel()

    async def _one(self, request: Request) -> tuple[Generation, str]:
        async with self._engine.serve(request, streaming=False) as generation:
            return generation, await generation.whole()

    async def _stream(self, http: web.Request, parsed: ParsedRequest, form: Format) -> web.StreamResponse:
        response = web.StreamResponse(headers=STREAM_HEADERS)
        try:
            async with self._engine.serve(parsed.requests[0], streaming=True) as generation:
                await self._write(http, response, parsed, form, generation)
        except (QueueFull, Aborted) as refusal:
            # As in SGLang: a streamed request is refused inside a 200, where no proxy can retry it.
            await response.prepare(http)
            await response.write(event({"error": error_body(_refused(refusal))}))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    @staticmethod
    async def _write(
        http: web.Request, response: web.StreamResponse, parsed: ParsedRequest, form: Format, generation: Generation
    ) -> None:
        text = ""
        async for piece in generation.pieces():
            text += piece
            if not response.prepared:
                await response.prepare(http)
                await _write_all(response, form.opening(generation))
            await response.write(event(form.piece(generation, piece, text)))
        if not response.prepared:
            await response.prepare(http)
        await _write_all(response, form.closing(generation, text, parsed.include_usage))


async def _write_all(response: web.StreamResponse, values: list[dict[str, object]]) -> None:
    if values:
        await response.write(b"".join(event(value) for value in values))


def _refused(refusal: QueueFull | Aborted) -> ApiError:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "The request queue is full." if isinstance(refusal, QueueFull) else "The request was aborted."
    return ApiError(status, message, str(status.value))
