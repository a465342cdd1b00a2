"""Runs the agent: watches the policy, serves health and metrics, ends after Envoy."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from heterollm_agent.apply_policy import apply_policy, prune
from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable
from heterollm_agent.http_pages import Pages, serve
from heterollm_agent.policy_store import PolicyStore
from heterollm_agent.policy_watch import PolicyWatch
from heterollm_agent.secret_mounts import SecretMounts
from heterollm_agent.settings import Settings
from heterollm_agent.xds_directory import XdsDirectory

_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger(__name__)


def main() -> None:
    """Run until SIGTERM or SIGINT, and then as long as Envoy drains."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Blocked before any thread starts, so that none of them swallows what the main thread waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, _END_SIGNALS)
    settings = Settings.read(os.environ)
    envoy, directory = EnvoyAdmin(settings.admin), XdsDirectory(settings.policy_dir)
    store = PolicyStore(
        directory, lambda policy: apply_policy(policy, directory, envoy), lambda policy: prune(policy, directory)
    )
    watch, draining = PolicyWatch(settings, store), threading.Event()
    # Before the policy: Envoy starts as soon as there is one.
    secrets = SecretMounts(settings)
    labels = {"heterollm_cluster": settings.cluster, "heterollm_namespace": settings.namespace}
    pages = Pages(envoy, store, watch, secrets, draining, labels)
    secrets.start()
    watch.start()
    server = serve(settings.port, pages.by_path())
    _log.info("health and metrics on port %d", server.server_port)
    signal.sigwait(_END_SIGNALS)
    draining.set()
    _outlive(envoy)


def _outlive(envoy: EnvoyAdmin) -> None:
    """Wait for Envoy's end: while it drains, endpoints still change and metrics are still read."""
    while True:
        try:
            envoy.stats()
        except EnvoyUnreachable:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
