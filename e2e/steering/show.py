"""The demo's second half: a spike that adds engines, and a tier that breaks, is stood in for and comes back."""

from __future__ import annotations

import time
from collections import Counter

from e2e.monitoring.rules import rule_groups
from e2e.monitoring.start import Monitoring, start_monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import Stack, wait_until
from e2e.steering.crowd import Crowd
from e2e.steering.live import LiveView, decision_line
from e2e.steering.moments import picture
from e2e.steering.steps import decided, figures_are_there, set_faults
from e2e.steering.timeline import Journal

__all__ = ["SCRAPE_SECONDS", "operator_values", "show", "watch"]

SCRAPE_SECONDS = 2
_CALM, _SPIKE = 12, 70
_SEEN_SECONDS = 5.0
"""For how long each state stays to be looked at."""
_LONGEST_SECONDS = 300.0
"""Each wait gives up then: many times what it takes on an idle machine."""
_RULES = {
    "QueueLong": "more than scaling.queueLength requests waited at two scrapes; scaling.queueStep engines more",
    "FirstTokenSlow": "the first token took longer than scaling.timeToFirstTokenMs",
    "TakesOver": "the last tier grows while it stands in for others",
    "FewerSuffice": "fewer engines were enough for scaling.scaleDownSeconds",
    "TierEscalated": "fallback.failedPercent of its requests failed: level 2, the last tier stands in for it",
    "TierProbed": "its rest is over (fallback.holdSeconds, or one and a half windows): a few requests try it",
    "TierReturns": "it answered what it got: its next share (fallback.rampPercent)",
    "TierRecovered": "it answered fallback.probeRequests: it gets all its requests again",
}


def operator_values() -> dict[str, object]:
    """Values of the chart by which the operator finds the Prometheus of `watch`."""
    return {"prometheus": {"url": Monitoring.inside, "scrapeSeconds": SCRAPE_SECONDS, "pollSeconds": SCRAPE_SECONDS}}


def watch(stack: Stack) -> Monitoring:
    """Start a Prometheus that scrapes often, with the chart's rules."""
    return start_monitoring(stack, rule_groups(), SCRAPE_SECONDS)


def show(chat: ChatCluster, monitoring: Monitoring) -> None:
    """Play both acts, and sum up what happened.

    Raises:
        StackError: something that should have happened has not; the message says what.
    """
    began = time.time()
    # Of an earlier run that was interrupted.
    set_faults(chat)
    with Journal(chat) as journal, Crowd(chat.url, "small", pause=0.3) as crowd:
        try:
            with LiveView(journal, monitoring, began) as view:
                _spike(chat, journal, crowd, view)
                _break(chat, journal, crowd, view)
        finally:
            set_faults(chat)
    _sum_up(journal, crowd, began)
    drawing = chat.stack.layout.state / "steering.svg"
    drawing.write_text(picture(monitoring, began, time.time()))
    chat.stack.report(f"The figures of these minutes as a picture: {drawing}")


def _spike(chat: ChatCluster, journal: Journal, crowd: Crowd, view: LiveView) -> None:
    view.say(f"--> {_CALM} clients, one request after the other each; waiting for figures of a whole window")
    crowd.resize(_CALM)
    # What an earlier run broke may not have recovered yet.
    wait_until(
        lambda: figures_are_there(chat) and journal.status["mode"] == "Normal" and _all_serve(journal),
        _LONGEST_SECONDS,
        lambda: f"no figures, or not Normal: {journal.status}",
    )
    before, most = _small(journal)["desired"], 6
    view.say(f"--> a SPIKE: {_SPIKE} clients at once")
    crowd.resize(_SPIKE)
    if before < most:
        decided(journal, "ScaledUp", "small", 1, _LONGEST_SECONDS)
    wait_until(lambda: _all_serve(journal), _LONGEST_SECONDS, lambda: f"engines do not serve: {_small(journal)}")
    view.say("--> the engines that were added serve; the queue shrinks")
    time.sleep(_SEEN_SECONDS)
    crowd.resize(_CALM)


def _break(chat: ChatCluster, journal: Journal, crowd: Crowd, view: LiveView) -> None:
    view.say("--> the small tier BREAKS: its engines answer 500; the routers ask the next tier, clients see nothing")
    set_faults(chat, error_rate=1.0)
    decided(journal, "TierEscalated", "small", 1, _LONGEST_SECONDS)
    view.say("--> level 2: the large tier stands in for it")
    time.sleep(_SEEN_SECONDS)
    view.say("--> the small tier is REPAIRED; nobody tells the operator, so it tries it once its rest is over")
    set_faults(chat)
    decided(journal, "TierRecovered", "small", 1, _LONGEST_SECONDS)
    repaired = time.time()
    time.sleep(_SEEN_SECONDS)
    wait_until(lambda: crowd.tiers(time.time() - 2) == {"small"}, 60, lambda: "the small tier does not answer all")
    view.say(f"--> {time.time() - repaired:.0f} s later the small tier answers everything")


def _small(journal: Journal) -> dict[str, int]:
    return next(tier for tier in journal.status["tiers"] if tier["name"] == "small")


def _all_serve(journal: Journal) -> bool:
    small = _small(journal)
    return small["serving"] >= small["desired"] > 0


def _sum_up(journal: Journal, crowd: Crowd, began: float) -> None:
    print("\nWhat was decided, from which figures, by which rule (docs/steering.md has them all):")
    for item in journal.decisions:
        print(decision_line(item, began))
        if item.rule in _RULES:
            print(f"          {item.rule}: {_RULES[item.rule]}")
    tiers = Counter(answer.tier for answer in crowd.answers if answer.status == 200)
    answered = ", ".join(f"{count} by {tier}" for tier, count in tiers.most_common())
    print(f"\n{len(crowd.answers)} requests in {time.time() - began:.0f} s: {len(crowd.failures)} failed, {answered}.")
    print("Prometheus, Envoy and Kubernetes are real, the engines are SIMULATED; rests are shortened to seconds.")
