"""Serves health and metrics over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable, accepted_version, rejected_updates
from heterollm_agent.policy_store import PolicyStore
from heterollm_agent.policy_watch import PolicyWatch
from heterollm_agent.secret_mounts import SecretMounts

__all__ = ["Pages", "serve"]

Answer = tuple[int, bytes]
"""Status and body of a plain-text answer."""

_CLIENT_TIMEOUT = 10
"""Seconds for which a client that sends nothing holds a thread."""
_SAMPLE_START = re.compile(rb"^(\w+)(\{\}| |\{)", re.MULTILINE)
"""A sample's name, with the beginning of its labels or of its value. Comments begin with a sign."""


class Pages:
    """The pages of one agent."""

    def __init__(
        self,
        envoy: EnvoyAdmin,
        store: PolicyStore,
        watch: PolicyWatch,
        secrets: SecretMounts,
        draining: threading.Event,
        labels: Mapping[str, str],
    ) -> None:
        """`labels`: of every sample, besides its own."""
        self._envoy = envoy
        self._store = store
        self._watch = watch
        self._secrets = secrets
        self._draining = draining
        self._labels = labels

    def by_path(self) -> dict[str, Callable[[], Answer]]:
        """What to serve."""
        return {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}

    def _healthz(self) -> Answer:
        """Whether the threads live; an API server that does not answer is no failure of this process."""
        dead = [thread.name for thread in (self._watch, self._secrets) if not thread.is_alive()]
        return (500, f"died: {', '.join(dead)}\n".encode()) if dead else (200, b"ok\n")

    def _readyz(self) -> Answer:
        """Whether this pod should get requests."""
        if self._draining.is_set():
            return 503, b"draining\n"
        return (200, b"ok\n") if self._envoy.has_policy() else (503, b"Envoy has no policy yet\n")

    def _metrics(self) -> Answer:
        """The agent's own metrics, then Envoy's."""
        try:
            stats, prometheus = self._envoy.stats(), self._envoy.prometheus()
        except EnvoyUnreachable:
            stats, prometheus = {}, b""
        return 200, _with_labels(self._own_metrics(stats).encode() + prometheus, self._labels)

    def _own_metrics(self, stats: dict[str, str]) -> str:
        applied = self._store.applied
        lines = [
            "# HELP heterollm_router_policy_version Version of the policy: written for Envoy, accepted, refused.",
            "# TYPE heterollm_router_policy_version gauge",
            _sample("policy_version", applied.version if applied else 0, state="written"),
            _sample("policy_version", accepted_version(stats, "rds") or 0, state="applied"),
            _sample("policy_version", self._store.refused_version, state="refused"),
            "# HELP heterollm_router_policy_refusals_total Policies refused: malformed, or rejected by Envoy.",
            "# TYPE heterollm_router_policy_refusals_total counter",
            _sample("policy_refusals_total", self._store.refusals),
            "# HELP heterollm_router_envoy_rejects_total Updates rejected by Envoy since its start.",
            "# TYPE heterollm_router_envoy_rejects_total counter",
            *(_sample("envoy_rejects_total", count, resource=kind) for kind, count in rejected_updates(stats).items()),
            "# HELP heterollm_router_client_keys API keys of clients that are in effect.",
            "# TYPE heterollm_router_client_keys gauge",
            _sample("client_keys", self._secrets.clients),
            "# HELP heterollm_router_secret_failures_total Times that a mounted Secret could not be read.",
            "# TYPE heterollm_router_secret_failures_total counter",
            _sample("secret_failures_total", self._secrets.failures),
            "# HELP heterollm_router_envoy_up Whether Envoy's admin interface answers.",
            "# TYPE heterollm_router_envoy_up gauge",
            _sample("envoy_up", int(bool(stats))),
            "# HELP heterollm_router_watch_age_seconds Time since the API server last sent something.",
            "# TYPE heterollm_router_watch_age_seconds gauge",
            _sample("watch_age_seconds", f"{self._watch.age():.3f}"),
            "# HELP heterollm_router_watches_total Watches opened.",
            "# TYPE heterollm_router_watches_total counter",
            _sample("watches_total", self._watch.opened),
        ]
        return "\n".join(lines) + "\n"


def serve(port: int, pages: Mapping[str, Callable[[], Answer]]) -> ThreadingHTTPServer:
    """Serve `pages`, path -> answer, in threads of their own until the server is shut down."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_TIMEOUT

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, body = page() if page else (404, b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: probes come every few seconds."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _with_labels(samples: bytes, labels: Mapping[str, str]) -> bytes:
    """Put these labels before the samples' own, in Prometheus's text format.

    The values are names of Kubernetes objects, in which nothing needs escaping.
    """
    text = ",".join(f'{name}="{value}"' for name, value in labels.items()).encode()
    ends = {b"{": b"{%s," % text, b"{}": b"{%s}" % text, b" ": b"{%s} " % text}
    return _SAMPLE_START.sub(lambda found: found[1] + ends[found[2]], samples)


def _sample(name: str, value: object, **labels: str) -> str:
    text = ",".join(f'{label}="{content}"' for label, content in labels.items())
    return f"heterollm_router_{name}{f'{{{text}}}' if text else ''} {value}"
