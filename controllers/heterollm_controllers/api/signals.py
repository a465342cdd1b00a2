"""Every signal that a cluster is steered by. Its name is the key of a query override."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ClusterSignal", "PodSignal", "Signal", "TierSignal"]


class PodSignal(StrEnum):
    """Figures of one engine, by the name of its leader's pod."""

    QUEUE = "queue"
    """Requests that wait in the engine, in number: the fewer of the last two scrapes."""
    RUNNING = "running"
    """Requests that the engine works on, in number."""
    KV_USE = "kvUse"
    """Used share of the KV cache, 0 to 1; of the fullest rank."""
    AGE = "age"
    """Seconds since Prometheus last scraped the engine."""
    FIRST_TOKEN_SUM = "firstTokenSum"
    """Seconds to the first token, summed over the requests per second of the window."""
    FIRST_TOKEN_COUNT = "firstTokenCount"
    """Requests per second that got a first token in the window."""
    GPU_USE = "gpuUse"
    """Share of time in which the GPUs worked, 0 to 1, by DCGM; absent without it."""


class TierSignal(StrEnum):
    """Figures of one tier, from the routers unless said otherwise. Rates are over the window."""

    OFFERED = "offered"
    """Requests per second that were meant for the tier, refused ones included."""
    TRIED = "tried"
    """Requests per second that the tier was to answer itself (not diverted, not refused, not given up by clients)."""
    FAILED = "failed"
    """Those of TRIED that another tier had to answer, or nobody did (500, 502, 503, 504).

    Not those that the tier itself answered, if only with low quality. Requests that two engines failed while the tier
    answered others count as neither: see tier_health.rs."""
    DIVERTED = "diverted"
    """Requests per second that another tier was to answer in its place (not refused, not given up by clients)."""
    DIVERTED_FAILED = "divertedFailed"
    """Those of DIVERTED that the other tier failed: they fell back to their own tier, or nobody answered (5xx)."""
    ANSWERED = "answered"
    """Requests per second that the tier answered, wherever they were meant to go."""
    SLOW = "slow"
    """Those of ANSWERED whose first byte took longer than the fallback's `slowMilliseconds`."""
    REFUSED = "refused"
    """Requests per second that found no room (429)."""
    REQUEST_P50 = "requestP50"
    """Milliseconds to the last byte: median."""
    REQUEST_P95 = "requestP95"
    REQUEST_P99 = "requestP99"
    BETWEEN_TOKENS = "betweenTokens"
    """Milliseconds from one token to the next, on average; from the engines."""
    KEY_REFUSED = "keyRefused"
    """Attempts per second in which a service outside of the cluster refused the routers' key (401, 402, 403, 407)."""
    NOT_FOUND = "notFound"
    """Attempts per second in which it did not know the model or the address (404, 405, 3xx)."""
    UNREACHABLE = "unreachable"
    """Attempts per second that were not answered: no connection, a wrong certificate, a lost connection, silence."""
    PROMPT_TOKENS = "promptTokens"
    """Tokens of a prompt, on average over the last hour's answers, as far as engines told; of clusters that migrate."""
    COMPLETION_TOKENS = "completionTokens"
    """The same of an answer."""
    RETRIES = "retries"
    """Attempts per second that failed or gave answers of low quality."""
    EJECTED = "ejected"
    """Engines that routers have ejected; the largest number of any router."""
    SPILLED = "spilled"
    """Requests per second meant for the tier that another tier answered, diverted ones included."""


class ClusterSignal(StrEnum):
    """Figures of a whole cluster, from the routers."""

    POLICY_REFUSED = "policyRefused"
    """The version of a routing policy that a router does not take; 0 if there is none."""
    UNDECIDED = "undecided"
    """Requests per second for which no tier could be chosen, as the scorer failed: the last tier answered them."""
    ROUTERS = "routers"
    """Routers that were scraped."""


Signal = PodSignal | TierSignal | ClusterSignal
