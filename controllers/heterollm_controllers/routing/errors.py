"""Every error that Envoy itself answers, in OpenAI's form."""

from __future__ import annotations

from heterollm_controllers.routing.conditions import flagged, noted, status
from heterollm_controllers.routing.envelope import Json
from heterollm_controllers.routing.places import ERROR_HEADER, METADATA

__all__ = ["error_mappers"]

_BUSY = "All engines that may answer are busy. Please retry later."
_CHOSEN = f"%DYNAMIC_METADATA({METADATA}:error)%"
_LIMIT = f"%METADATA(VIRTUAL_HOST:{METADATA}:body_limit)%"


def error_mappers() -> list[Json]:
    """First match wins. What the router answers with a status below 400 is left alone."""
    return [
        _mapper(noted("error"), "invalid_request_error", _CHOSEN),
        _later(_mapper(flagged("UO"), "rate_limit_error", "overloaded", _BUSY), 429),
        _later(_mapper(flagged("OM"), "server_error", "router_overloaded", "The router has too much to do."), 503),
        _mapper(
            status("EQ", 413),
            "invalid_request_error",
            "request_too_large",
            f"The request body is larger than {_LIMIT} bytes.",
        ),
        _mapper(status("EQ", 404), "invalid_request_error", "not_found"),
        _mapper(status("EQ", 408), "invalid_request_error", "request_timeout", "The request came in too slowly."),
        _mapper(flagged("UH", "NC"), "server_error", "no_engine", "No engine can answer at the moment."),
        _mapper(status("GE", 500), "server_error", "router_error"),
        _mapper(status("GE", 400), "invalid_request_error", "bad_request"),
    ]


def _mapper(condition: Json, kind: str, code: str, message: str = "%LOCAL_REPLY_BODY%") -> Json:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return {
        "filter": condition,
        "body_format_override": {"json_format": {"error": error}},
        "headers_to_add": [_header(ERROR_HEADER, code)],
    }


def _later(mapper: Json, status: int) -> Json:
    """The same with a status that asks the client to come back in a second."""
    headers = mapper["headers_to_add"]
    assert isinstance(headers, list)
    return {**mapper, "status_code": status, "headers_to_add": [*headers, _header("retry-after", "1")]}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
