"""One whole migration, from a service outside to a small tier: a bad model is sent back, a good one gets everything."""

from __future__ import annotations

import time

from e2e.migration.manifest import moving
from e2e.migration.visitors import Visitors
from e2e.monitoring.start import Monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import wait_until
from e2e.steering.live import LiveView
from e2e.steering.steps import decided
from e2e.steering.timeline import Journal

CLIENTS = 24
BASELINE_SECONDS = 120
FAILING = 0.2
"""Share of attempts that fail with the bad model: 4 % of its requests fail twice, and are answered by the service."""
STEPS = (10, 30, 60, 80, 100)
LONGEST_SECONDS = 600.0
"""Each step gives up then."""
GIVEN = 'sum(heterollm_router_side_total{heterollm_cluster="chat", wanted_tier="small", diverted="false"})'
"""Requests that the small tier was to answer."""


def test_a_service_moves_to_two_tiers(chat: ChatCluster, monitoring: Monitoring) -> None:
    chat.apply(moving("Observe"))
    chat.wait_ready()
    began = time.time()
    with Journal(chat) as journal, Visitors(chat.url) as visitors, LiveView(journal, monitoring, began) as view:
        view.say("--> Observe: the service answers everything, the scorer decides on paper")
        visitors.resize(CLIENTS)
        time.sleep(BASELINE_SECONDS)
        assert visitors.tiers(0) == {"large"}
        view.say("--> Auto, with a BAD small model")
        chat.apply(moving("Auto", FAILING))
        decided(journal, "MigrationRollsBack", "cluster", 1, LONGEST_SECONDS)
        # Those of the last seconds before the decision are scraped after it.
        time.sleep(10)
        given = sum(monitoring.query(GIVEN).values())
        view.say(f"--> rolled back after {given:.0f} requests of the small tier")
        assert 0 < given <= 1500
        assert visitors.tiers(time.time() - 2) == {"large"}
        view.say("--> REPAIRED: mode Observe with a good model, then Auto")
        chat.apply(moving("Observe"))
        decided(journal, "MigrationObserves", "cluster", 1, 60)
        chat.apply(moving("Auto"))
        decided(journal, "MigrationComplete", "cluster", 1, len(STEPS) * LONGEST_SECONDS)
        wait_until(lambda: journal.status["migration"]["state"] == "Complete", 10, lambda: "not in status")
        done = time.time()
        time.sleep(30)
    shares = [item.message.rpartition("the tiers get ")[2] for item in journal.of("MigrationAdvances", "cluster")]
    assert shares == [f"{percent} % of their requests" for percent in (STEPS[0], *STEPS)]
    assert visitors.tiers(done) == {"small", "large"}, "hard requests still go to the service"
    print(f"{len(visitors.answers)} requests, {len(visitors.failures)} failed")
    assert visitors.failures == []
