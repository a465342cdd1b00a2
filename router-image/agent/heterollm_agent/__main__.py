"""The agent's process: follow the policy, serve health and metrics, leave after Envoy."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from heterollm_agent.apply import apply
from heterollm_agent.directory import PolicyDirectory
from heterollm_agent.envoy import Envoy, EnvoyAway
from heterollm_agent.follow import Follower
from heterollm_agent.keeper import Keeper
from heterollm_agent.pages import Pages
from heterollm_agent.server import serve
from heterollm_agent.settings import Settings


def main() -> None:
    """Run until SIGTERM, and then as long as Envoy drains."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings.read(os.environ)
    envoy, directory = Envoy(settings.admin), PolicyDirectory(settings.policy_dir)
    keeper = Keeper(directory, lambda policy: apply(policy, directory, envoy))
    follower, draining = Follower(settings, keeper), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: draining.set())
    signal.signal(signal.SIGINT, lambda *_: draining.set())
    pages = Pages(envoy, keeper, follower, draining)
    follower.start()
    serve(settings.port, {"/healthz": pages.healthz, "/readyz": pages.readyz, "/metrics": pages.metrics})
    draining.wait()
    _outlive(envoy)


def _outlive(envoy: Envoy) -> None:
    """Endpoints still change and metrics are still read while Envoy drains."""
    while True:
        try:
            envoy.stats()
        except EnvoyAway:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
