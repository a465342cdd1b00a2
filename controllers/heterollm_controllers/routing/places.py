"""Names and paths on which the Envoy resources, the router image and the agent agree."""

from __future__ import annotations

__all__ = [
    "CLIENT_HEADER",
    "ERROR_HEADER",
    "HASH_HEADER",
    "LISTENER_PORT",
    "LUA",
    "METADATA",
    "POLICY",
    "ROUTES",
    "TIER_HEADER",
    "attempts_cluster",
    "endpoints_file",
    "tier_cluster",
]

POLICY = "/policy"
"""Directory the agent writes and Envoy watches."""
LUA = "/etc/heterollm/lua"
"""Directory of the Lua files in the router image."""
LISTENER_PORT = 8080
ROUTES = "routes"
"""Name of the one route configuration; part of Envoy's statistic names, which the agent reads."""
METADATA = "llm"
"""Namespace of our metadata on requests and endpoints."""
TIER_HEADER = "x-llm-tier"
HASH_HEADER = "x-llm-prefix"
CLIENT_HEADER = "x-llm-client"
"""Request header: name of the API key that was sent; only the router can set it."""
ERROR_HEADER = "x-llm-error"
"""Response header: the error's code, on what the router itself refuses."""


def tier_cluster(tier: str) -> str:
    """Envoy cluster that holds a tier's engines."""
    return f"tier_{tier}"


def attempts_cluster(tier: str) -> str:
    """Envoy cluster that says which tier serves which attempt of a request for `tier`."""
    return f"route_{tier}"


def endpoints_file(tier: str) -> str:
    """File of a tier's endpoints: Envoy takes one set of endpoints per file."""
    return f"eds-{tier}.json"
