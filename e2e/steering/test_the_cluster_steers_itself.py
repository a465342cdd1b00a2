"""A spike, a broken tier, a tier that stays broken, and its repair, by the figures of a real Prometheus."""

from __future__ import annotations

import time

import pytest

from e2e.monitoring.start import SCRAPE_SECONDS, Monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import wait_until
from e2e.steering.crowd import Crowd
from e2e.steering.manifest import steered_sample
from e2e.steering.steps import decided, figures_are_there, set_faults
from e2e.steering.timeline import Journal

TICK_SECONDS = 5
QUEUE = 'sum(sglang:num_queue_reqs{heterollm_cluster="chat", heterollm_tier="small"})'


def test_a_spike_adds_engines_that_serve(chat: ChatCluster, monitoring: Monitoring) -> None:
    with Journal(chat) as journal, Crowd(chat.url, "small") as crowd:
        crowd.resize(10)
        wait_until(lambda: figures_are_there(chat), 60, lambda: f"no figures: {chat.get()['status']['conditions']}")
        began = time.time()
        crowd.resize(150)
        raised = decided(journal, "ScaledUp", "small", 1, 60)
        assert "2 to 4 engines" in raised.message
        assert "requests wait, more than 100" in raised.message
        wait_until(lambda: chat.tier("small")["serving"] >= 4, 60, lambda: "the new engines do not serve")
        served = time.time()
    points = monitoring.series(QUEUE, began - 5, served, 1)
    breach = next(at for at, value in points if value > 100)
    print(
        f"queue above 100 seen by a scrape {breach - began:.0f} s after the spike began; decision recorded"
        f" {raised.time - breach:.0f} s later, two more engines serving {served - breach:.0f} s after the breach"
    )
    # The journal has whole seconds.
    assert raised.time - breach <= 2 * SCRAPE_SECONDS + TICK_SECONDS + 1
    assert crowd.failures == []


def test_engines_on_standby_join_within_a_second_of_the_decision(chat: ChatCluster) -> None:
    manifest = steered_sample()
    manifest["spec"]["tiers"][0]["replicas"]["standby"] = 2
    chat.apply(manifest)
    wait_until(lambda: len(standby(chat)) == 2, 90, lambda: f"no engines on standby: {chat.tier('small')['engines']}")
    waiting = {f"{name}-0" for name in standby(chat)}
    with Journal(chat) as journal, Crowd(chat.url, "small") as crowd:
        crowd.resize(10)
        wait_until(lambda: figures_are_there(chat), 60, lambda: "no figures")
        time.sleep(5)
        assert not waiting & {answer.engine for answer in crowd.answers}
        crowd.resize(200)
        raised = decided(journal, "ScaledUp", "small", 1, 60)
        wait_until(lambda: len(standby(chat)) == 2, 90, lambda: "the places on standby are not filled again")
    first = min(answer.sent for answer in crowd.answers if answer.engine in waiting)
    # The journal has whole seconds, rounded down.
    after = first - raised.time
    print(f"the first request of an engine from standby was sent {after - 1:.1f} to {after:.1f} s after the decision")
    assert after <= 2
    assert crowd.failures == []


def standby(chat: ChatCluster) -> list[str]:
    """Engines that are kept ready."""
    return [engine["name"] for engine in chat.tier("small")["engines"] if engine["phase"] == "Standby"]


def test_a_broken_tier_is_escalated_and_comes_back(chat: ChatCluster, monitoring: Monitoring) -> None:
    with Journal(chat) as journal, Crowd(chat.url, "small", pause=0.3) as crowd:
        crowd.resize(12)
        wait_until(lambda: figures_are_there(chat), 60, lambda: "no figures")
        time.sleep(30)
        broken = time.time()
        set_faults(chat, error_rate=1.0)
        first = decided(journal, "TierEscalated", "small", 1, 60)
        print(f"level 2 was decided {first.time - broken:.0f} s after the small tier broke: {first.message}")
        assert first.time - broken <= 30
        decided(journal, "PureLarge", "cluster", 1, 300)
        wait_until(lambda: bool(pages(monitoring)), 60, lambda: "nobody was paged")
        paged = pages(monitoring)[0]["received"]
        wait_until(lambda: journal.mode == "PureLarge", 10, lambda: "the mode is not shown")
        print(f"level 3 {journal.modes[-1][0] - broken:.0f} s after it broke, the page {paged - broken:.0f} s after it")
        set_faults(chat)
        decided(journal, "FallbackNormal", "cluster", 1, 400)
        normal = time.time()
        time.sleep(10)
        wait_until(lambda: crowd.tiers(since=time.time() - 5) == {"small"}, 60, lambda: "small does not answer all")
        print(f"Normal again {normal - broken:.0f} s after the small tier broke")
    assert crowd.failures == []
    for item in journal.decisions:
        print(f"{item.time - broken:7.0f} s  {item.action} {item.subject}: {item.message}")


def pages(monitoring: Monitoring) -> list[dict[str, float]]:
    """Pages that say that something fires."""
    return [page for page in monitoring.pages() if page["status"] == "firing"]


@pytest.fixture(autouse=True)
def repaired(chat: ChatCluster) -> None:
    """Engines without faults at the start."""
    set_faults(chat)
