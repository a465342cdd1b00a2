"""One whole migration, from a service outside to a small tier: a bad model is sent back, a good one gets everything."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from e2e.migration.manifest import moving
from e2e.migration.reported import write_report
from e2e.migration.visitors import Visitors
from e2e.monitoring.start import Monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import wait_until
from e2e.steering.live import LiveView, decision_line
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


def test_a_service_moves_to_two_tiers(chat: ChatCluster, monitoring: Monitoring, tmp_path: Path) -> None:
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
    print("\nWhat was decided, from which figures:")
    for item in journal.decisions:
        print(decision_line(item, began))
    print(f"{len(visitors.answers)} requests in {time.time() - began:.0f} s, {len(visitors.failures)} failed")
    shares = [item.message.rpartition("the tiers get ")[2] for item in journal.of("MigrationAdvances", "cluster")]
    assert shares == [f"{percent} % of their requests" for percent in (STEPS[0], *STEPS)]
    assert visitors.tiers(done) == {"small", "large"}, "hard requests still go to the service"
    assert visitors.failures == []
    # A report counts by steps of 15 s, and the last have to be scraped.
    time.sleep(25)
    _check_report(chat, monitoring, Path(os.environ.get("MIGRATION_REPORT") or tmp_path), len(visitors.answers))


def _check_report(chat: ChatCluster, monitoring: Monitoring, folder: Path, sent: int) -> None:
    """The report, left in the folder in both forms, knows of all requests, of the rollback and of the end."""
    page = write_report(chat, monitoring, folder / "migration.html")
    text = write_report(chat, monitoring, folder / "migration.md")
    found = re.search(r"([0-9,]+) requests: ([0-9,]+) answered, 0 failed", text)
    assert found, text
    assert found[1] == found[2]
    # What came in the first 15 s is not counted: since when a router counts that is new to Prometheus, nobody knows.
    assert 0.97 * sent <= int(found[1].replace(",", "")) <= sent
    for word in ("Migration: Complete", "| MigrationRollsBack | Errors Failed", "| MigrationComplete |"):
        assert word in text
    assert page.count("<polyline") >= 6, "five panels"
