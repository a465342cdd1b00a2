"""What Envoy's own loggers count for us: rare events, and a sample of the stages. The module counts every request.

Every label is one of: names in the policy, words of the module and of the error mappers, numbers of HTTP; no client can
widen them. What a request never had (a refused one has no tier) is an empty label. The agent serves these figures
without the `envoy_` that Envoy puts before them, and with the cluster's name and namespace.
"""

from __future__ import annotations

from heterollm_controllers.routing.envoy.matchers import (
    all_of,
    any_of,
    flagged,
    sampled,
    status,
    with_header,
)
from heterollm_controllers.routing.envoy.module import module_logger
from heterollm_controllers.routing.envoy.resource_names import ERROR_HEADER, METADATA
from heterollm_controllers.routing.envoy.resources import Json, typed

__all__ = ["attempt_log", "request_log"]

_PREFIX = "heterollm_router"

_TIER = f"%UPSTREAM_METADATA({METADATA}:tier)%"
"""The tier that answered."""
_CODE = "%RESPONSE_CODE%"

_ASKED = any_of(
    *(
        with_header(":path", string_match={"prefix": f"/v1/{what}"})
        for what in ("chat/completions", "completions", "responses")
    )
)

_STAGES_SAMPLED = 10
"""Per cent of the requests whose stages are timed: each figure costs some microseconds, and these are for looking."""

_LOST = "UC", "UR"
"""Flags of an attempt whose connection ended without an answer."""
_FAILURES = {
    "connect": ["UF"],
    "reset": ["UC", "UR", "LR"],
    "timeout": ["UT", "SI"],
}
"""Why an attempt failed, in Envoy's flags."""


def request_log() -> list[Json]:
    """Loggers of the listener: they see each request once, at its end."""
    place = {"heterollm_tier": _TIER}
    stages = [
        # From the last byte of the request to the first towards the engine that answered.
        _stage("routing", "DS_RX_END:US_TX_BEG", place),
        _stage("engine", "US_TX_END:US_RX_BEG", place),
        # From the engine's last byte to the last one given to the client's connection.
        _stage("return", "US_RX_END:DS_TX_END", place),
    ]
    answered = _ASKED, status("GE", 200), status("LE", 399)
    rejected = _counter("rejected_total", reason=f"%RESP({ERROR_HEADER})%", code=_CODE)
    return [
        _log(all_of(sampled(_STAGES_SAMPLED), *answered), histograms=stages),
        _log(status("GE", 400), counters=[rejected]),
    ]


def attempt_log() -> list[Json]:
    """Loggers of the router: they see each attempt; only failed ones are counted, as all others are requests."""

    def failed(reason: str) -> Json:
        return _counter("failed_attempts_total", heterollm_tier=f"%UPSTREAM_METADATA({METADATA}:tier)%", reason=reason)

    unanswered = [_log(flagged(*flags), counters=[failed(reason)]) for reason, flags in _FAILURES.items()]
    # The module counts them for each request, as one that has lost two engines may be why.
    lost = module_logger(flagged(*_LOST))
    return [*unanswered, _log(status("GE", 500), counters=[failed("error")]), lost]


def _log(condition: Json, **figures: list[Json]) -> Json:
    return {
        "name": "envoy.access_loggers.stats",
        "filter": condition,
        "typed_config": typed("envoy.extensions.access_loggers.stats.v3.Config", stat_prefix=_PREFIX, **figures),
    }


def _counter(name: str, **labels: str) -> Json:
    return {"stat": _stat(name, labels), "value_fixed": 1}


def _stage(name: str, span: str, place: dict[str, str]) -> Json:
    return _histogram("stage_microseconds", f"%COMMON_DURATION({span}:us)%", "Microseconds", **place, stage=name)


def _histogram(name: str, value: str, unit: str, **labels: str) -> Json:
    return {"stat": _stat(name, labels), "unit": unit, "value_format": value}


def _stat(name: str, labels: dict[str, str]) -> Json:
    return {"name": name, "tags": [{"name": key, "value_format": value} for key, value in labels.items()]}
