"""Conditions on a finished request, for what is counted and for the form of errors."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.resource_names import METADATA
from heterollm_controllers.routing.envoy.resources import Json

__all__ = ["all_of", "any_of", "flagged", "noted", "sampled", "status", "with_header"]


def status(op: str, number: int) -> Json:
    """The answer's status; `op` is EQ, NE, GE or LE."""
    # Envoy asks for a key under which the number could be changed at run time; nothing sets it.
    value = {"default_value": number, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def flagged(*flags: str) -> Json:
    """Any of these of Envoy's response flags; any at all if none is named."""
    return {"response_flag_filter": {"flags": list(flags)}}


def noted(*path: str) -> Json:
    """A filter has noted something under this key, or under these inside each other."""
    matcher = {"filter": METADATA, "path": [{"key": key} for key in path], "value": {"present_match": True}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


def with_header(name: str, **match: object) -> Json:
    """A request header that matches."""
    return {"header_filter": {"header": {"name": name, **match}}}


def sampled(percent: int) -> Json:
    """So many requests of a hundred, by chance."""
    share = {"numerator": percent, "denominator": "HUNDRED"}
    return {"runtime_filter": {"runtime_key": "unused", "percent_sampled": share, "use_independent_randomness": True}}


def all_of(*conditions: Json) -> Json:
    """All of these."""
    return {"and_filter": {"filters": list(conditions)}}


def any_of(*conditions: Json) -> Json:
    """At least one of these."""
    return {"or_filter": {"filters": list(conditions)}}
