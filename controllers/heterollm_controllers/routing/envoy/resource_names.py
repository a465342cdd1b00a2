"""Names and paths on which the Envoy resources, the router image and the agent agree."""

from __future__ import annotations

__all__ = [
    "ATTEMPT_FILTER",
    "BROKEN_HEADER",
    "CERTIFICATE",
    "CHOOSE_FILTER",
    "CHOSEN_HEADER",
    "CLIENT_HEADER",
    "ERROR_HEADER",
    "FULL_CLUSTER",
    "HASH_HEADER",
    "KEYS",
    "KEYS_FILTER",
    "LISTENER_PORT",
    "METADATA",
    "POLICY",
    "PRIORITY_HEADER",
    "QUALITY_HEADER",
    "ROUTES",
    "UNFORGEABLE",
    "attempts_cluster",
    "diverted_cluster",
    "endpoints_file",
    "tier_cluster",
]

POLICY = "/policy"
"""Directory the agent writes and Envoy watches."""
KEYS = "/keys"
"""Directory of the filters that hold API keys: the agent writes it, from mounted Secrets."""
CERTIFICATE = "/etc/heterollm/certificate.json"
"""File in the router image that says where the certificate is mounted."""
LISTENER_PORT = 8080
KEYS_FILTER = "keys"
"""Name of the listener's filter that asks for API keys."""
FULL_CLUSTER = "full"
"""Envoy cluster of the requests that are not admitted."""
ROUTES = "routes"
"""Name of the one route configuration; part of Envoy's statistic names, which the agent reads."""
METADATA = "llm"
"""Namespace of our metadata on requests and endpoints."""
CHOSEN_HEADER = "x-llm-chosen"
"""Request header by which the tier's route is found: only the choose filter sets it."""
HASH_HEADER = "x-llm-prefix"
CLIENT_HEADER = "x-llm-client"
"""Request header: name of the API key that was sent; only the router can set it."""
PRIORITY_HEADER = "x-llm-priority"
ERROR_HEADER = "x-llm-error"
"""Response header: the error's code, on what the router itself refuses."""

BROKEN_HEADER = "x-llm-broken"
"""Response header: on a failure of an engine that is to be ejected, between the attempt filter and Envoy."""

QUALITY_HEADER = "x-llm-quality"
"""Response header: what is wrong with an answer."""
UNFORGEABLE = (
    BROKEN_HEADER,
    CHOSEN_HEADER,
    CLIENT_HEADER,
    ERROR_HEADER,
    HASH_HEADER,
    QUALITY_HEADER,
    "x-llm-attempts",
    "x-llm-policy-version",
    "x-llm-score",
)
"""Headers that no client may send. What one may say of tier and priority depends on the policy: see choose.rs."""
CHOOSE_FILTER = "choose"
"""Name of the listener's filter of the native module, under which routes give it its data."""
ATTEMPT_FILTER = "attempt"
"""The same of the clusters' filter."""


def tier_cluster(tier: str) -> str:
    """Envoy cluster that holds a tier's engines."""
    return f"tier_{tier}"


def attempts_cluster(tier: str) -> str:
    """Envoy cluster that says which tier serves which attempt of a request for `tier`."""
    return f"route_{tier}"


def diverted_cluster(tier: str) -> str:
    """Envoy cluster of the requests for `tier` that the last tier shall answer."""
    return f"diverted_{tier}"


def endpoints_file(tier: str) -> str:
    """File of a tier's endpoints: Envoy takes one set of endpoints per file."""
    return f"eds-{tier}.json"
