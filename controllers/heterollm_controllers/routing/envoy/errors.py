"""Every error that Envoy itself answers, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from heterollm_controllers.routing.envoy.matchers import all_of, flagged, noted, status
from heterollm_controllers.routing.envoy.resource_names import ERROR_HEADER, METADATA
from heterollm_controllers.routing.envoy.resources import Json

__all__ = ["error_mappers"]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_FINAL: Mapping[str, str] = MappingProxyType({"x-should-retry": "false"})
"""OpenAI's clients obey it: they would send it twice more."""
_BUSY = "All engines that may answer are busy. Please retry later."
_CHOSEN = f"%DYNAMIC_METADATA({METADATA}:error)%"
_LIMIT = f"%METADATA(VIRTUAL_HOST:{METADATA}:body_limit)%"


def error_mappers() -> list[Json]:
    """First match wins. What the router answers with a status below 400 is left alone."""
    return [
        _mapper(all_of(noted("error"), status("GE", 500)), "server_error", _CHOSEN, headers=_FINAL),
        _mapper(noted("error"), "invalid_request_error", _CHOSEN),
        _later(flagged("UO"), 429, "rate_limit_error", "overloaded", _BUSY),
        _mapper(
            status("EQ", 413),
            "invalid_request_error",
            "request_too_large",
            f"The request body is larger than {_LIMIT} bytes.",
        ),
        _unauthenticated(),
        _mapper(status("EQ", 404), "invalid_request_error", "not_found"),
        _mapper(status("EQ", 408), "invalid_request_error", "request_timeout", "The request came in too slowly."),
        _mapper(flagged("UH", "NC"), "server_error", "no_engine", "No engine can answer at the moment."),
        _mapper(all_of(flagged(), status("GE", 500)), "server_error", "router_error"),
        # Short of memory: the only one of Envoy's own 503 that has no flag.
        _later(status("EQ", 503), 503, "server_error", "router_overloaded", "The router has too much to do."),
        _mapper(status("GE", 500), "server_error", "router_error"),
        _mapper(status("GE", 400), "invalid_request_error", "bad_request"),
    ]


def _unauthenticated() -> Json:
    kind, code = "invalid_request_error", "invalid_api_key"
    asked = {"www-authenticate": "Bearer"}
    return _mapper(status("EQ", 401), kind, code, "The API key is missing or wrong.", asked)


def _later(condition: Json, answer: int, kind: str, code: str, message: str) -> Json:
    """Answered so that the client comes back in a second."""
    return {**_mapper(condition, kind, code, message, {"retry-after": "1"}), "status_code": answer}


def _mapper(
    condition: Json, kind: str, code: str, message: str = "%LOCAL_REPLY_BODY%", headers: Mapping[str, str] = _NO_HEADERS
) -> Json:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return {
        "filter": condition,
        "body_format_override": {"json_format": {"error": error}},
        "headers_to_add": [_header(name, value) for name, value in {ERROR_HEADER: code, **headers}.items()],
    }


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
