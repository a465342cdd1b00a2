"""What is routed where: the input of every renderer in this package."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AUTO", "Endpoint", "ExternalService", "Retries", "RetryChange", "RoutingPolicy", "TierRoute"]

AUTO = "auto"
"""Value of a request's `model` that asks the router to choose; no tier may have this name."""


@dataclass(frozen=True)
class Endpoint:
    """The leader of one ready engine."""

    pod: str
    """Pod name: stays the same over a restart, so the engine keeps its share of the prefixes."""
    address: str
    """IP address."""
    port: int


@dataclass(frozen=True)
class ExternalService:
    """A service outside of the cluster that answers for a tier."""

    host: str
    """DNS name or IPv4 address."""
    port: int
    tls: bool
    path: str
    """What stands in place of /v1 in the paths of requests."""
    key_file: str | None = None
    """File in the router that holds the service's API key: the key itself never travels through the policy."""
    ca_bundle: str | None = None
    """Certificates (PEM) to trust; those of the router image if None."""


@dataclass(frozen=True)
class TierRoute:
    """One tier and the engines that may answer for it."""

    name: str
    model_id: str
    """Name under which the engines, or the service, serve their model; clients may use it as `model`."""
    endpoints: tuple[Endpoint, ...]
    max_requests: int = 4096
    """Requests in flight (number) that the tier's engines can hold together; more are answered 429. Each router takes
    its share."""
    diverted_percent: int = 0
    """Share of this tier's conversations that the last tier answers instead (for the last tier: the one before it): 100
    while the tier is escalated, else what a migration has reached. A conversation stays on its side."""
    sticky: bool = False
    """Keep conversations on their engine for longer, where their prefix is cached, though it may have more to do."""
    external: ExternalService | None = None
    """What answers instead of engines."""


@dataclass(frozen=True)
class RetryChange:
    """How a request differs on one retry; None leaves a parameter as the client sent it."""

    temperature: float | None = None
    max_tokens_factor: float | None = None
    new_seed: bool = False


@dataclass(frozen=True)
class Retries:
    """Level 1 of the fallback.

    Attributes:
        limit: most retries of one request.
        deadline: seconds after the first attempt's start beyond which no further one is started.
        budget_percent: most retries of failed answers, as a share of the good answers; 3 per second always may be.
        changes: what differs after the first, second, third answer of low quality; the last serves for the rest.
        change_on_every_failure: whether the changes apply after transport failures too.
        check_quality: whether answers are checked at all.
    """

    limit: int = 3
    deadline: float = 600.0
    budget_percent: int = 50
    changes: tuple[RetryChange, ...] = ()
    change_on_every_failure: bool = False
    check_quality: bool = True


@dataclass(frozen=True)
class RoutingPolicy:
    """Everything a router of one cluster needs to know."""

    cluster: str
    tiers: tuple[TierRoute, ...]
    """Cheapest first."""
    complexity_threshold: float = 0.7
    """Score in [0, 1] above which an `auto` request goes to the last tier."""
    attempt_idle_limit: float = 600.0
    """Seconds without a byte after which an attempt is given up and retried. An answer that is not streamed has no byte
    before its end, so this must exceed the longest of them."""
    retries: Retries = Retries()
    scorer_weights: tuple[tuple[str, float], ...] = ()
    """Weight of each feature of the score; the scorer's own for those not named."""
    trust_headers: bool = False
    """Whether clients' x-llm-tier and x-llm-priority are obeyed; otherwise they are removed."""
    routers: int = 1
    """Routers that share the tiers' capacity."""
    reserved_percent: int = 0
    """Share of each tier's capacity that only reserved clients may use."""
    reserved_clients: tuple[str, ...] = ()
    """Names of the API keys that may."""
    body_limit: int = 16 << 20
    """Largest request body in bytes."""
    slow_after_ms: int | None = None
    """Milliseconds after which the first byte of a stream is late, where the sides of a migration are compared."""
