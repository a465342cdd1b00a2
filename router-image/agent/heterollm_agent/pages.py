"""What health and metrics say."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from heterollm_agent.envoy import Envoy, EnvoyAway, rejected, version_of
from heterollm_agent.keeper import Keeper
from heterollm_agent.labels import labelled
from heterollm_agent.policy_watch import PolicyWatch
from heterollm_agent.secret_mounts import SecretMounts
from heterollm_agent.server import Answer

__all__ = ["Pages"]


class Pages:
    """The pages of one agent."""

    def __init__(
        self,
        envoy: Envoy,
        keeper: Keeper,
        watch: PolicyWatch,
        secrets: SecretMounts,
        draining: threading.Event,
        labels: Mapping[str, str],
    ) -> None:
        """`labels`: of every figure, besides its own."""
        self._envoy = envoy
        self._keeper = keeper
        self._watch = watch
        self._secrets = secrets
        self._draining = draining
        self._labels = labels

    def healthz(self) -> Answer:
        """Whether the threads live; an API server that does not answer is no failure of this process."""
        dead = [thread.name for thread in (self._watch, self._secrets) if not thread.is_alive()]
        return (500, f"died: {', '.join(dead)}\n".encode()) if dead else (200, b"ok\n")

    def readyz(self) -> Answer:
        """Whether this pod shall get requests."""
        if self._draining.is_set():
            return 503, b"draining\n"
        return (200, b"ok\n") if self._envoy.has_policy() else (503, b"Envoy has no policy yet\n")

    def metrics(self) -> Answer:
        """The agent's own figures, then Envoy's."""
        try:
            stats, prometheus = self._envoy.stats(), self._envoy.prometheus()
        except EnvoyAway:
            stats, prometheus = {}, b""
        return 200, labelled(self._own(stats).encode() + prometheus, self._labels)

    def _own(self, stats: dict[str, str]) -> str:
        applied = self._keeper.applied
        lines = [
            "# HELP heterollm_router_policy_version Version of the policy: written for Envoy, accepted, refused.",
            "# TYPE heterollm_router_policy_version gauge",
            _sample("policy_version", applied.version if applied else 0, state="written"),
            _sample("policy_version", version_of(stats, "rds") or 0, state="applied"),
            _sample("policy_version", self._keeper.refused_version, state="refused"),
            "# HELP heterollm_router_policy_refusals_total Policies not taken over: malformed, or refused by Envoy.",
            "# TYPE heterollm_router_policy_refusals_total counter",
            _sample("policy_refusals_total", self._keeper.refusals),
            "# HELP heterollm_router_envoy_rejects_total Updates refused by Envoy since its start.",
            "# TYPE heterollm_router_envoy_rejects_total counter",
            *(_sample("envoy_rejects_total", count, resource=kind) for kind, count in rejected(stats).items()),
            "# HELP heterollm_router_client_keys API keys of clients that are in force.",
            "# TYPE heterollm_router_client_keys gauge",
            _sample("client_keys", self._secrets.clients),
            "# HELP heterollm_router_secret_failures_total Times that a mounted Secret could not be read.",
            "# TYPE heterollm_router_secret_failures_total counter",
            _sample("secret_failures_total", self._secrets.failures),
            "# HELP heterollm_router_envoy_up Whether Envoy's admin interface answers.",
            "# TYPE heterollm_router_envoy_up gauge",
            _sample("envoy_up", int(bool(stats))),
            "# HELP heterollm_router_watch_age_seconds Time since the API server was last heard.",
            "# TYPE heterollm_router_watch_age_seconds gauge",
            _sample("watch_age_seconds", f"{self._watch.age():.3f}"),
            "# HELP heterollm_router_watches_total Watches opened.",
            "# TYPE heterollm_router_watches_total counter",
            _sample("watches_total", self._watch.opened),
        ]
        return "\n".join(lines) + "\n"


def _sample(name: str, value: object, **labels: str) -> str:
    written = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"heterollm_router_{name}{f'{{{written}}}' if written else ''} {value}"
