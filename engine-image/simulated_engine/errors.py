"""Errors in the shapes that SGLang's endpoints use."""

from __future__ import annotations

from aiohttp import web

__all__ = ["ApiError", "error_body", "error_response"]


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


def error_body(error: ApiError) -> dict[str, object]:
    """SGLang's OpenAI endpoints answer a flat object, not OpenAI's nested one."""
    return {
        "object": "error",
        "message": error.message,
        "type": error.kind,
        "param": None,
        "code": error.status,
    }


def error_response(error: ApiError) -> web.Response:
    """The error as an HTTP answer."""
    return web.json_response(error_body(error), status=error.status)
