"""What steering scenarios and the demo do to the chat cluster, and what they wait for."""

from __future__ import annotations

import json

from e2e.cluster.node.commands import running_cluster
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import wait_until
from e2e.steering.timeline import Decision, Journal

__all__ = ["decided", "figures_are_there", "set_faults"]


def set_faults(chat: ChatCluster, **plan: float) -> None:
    """What the small tier's engines do from now on; nothing bad without arguments."""
    inside = running_cluster(chat.stack.layout)
    for pod in chat.engine_pods("small"):
        if pod["status"].get("podIP"):
            url = f"http://{pod['status']['podIP']}:30000/sim/faults"
            inside.run(["curl", "--fail", "--silent", "--json", json.dumps(plan), url])


def decided(journal: Journal, action: str, subject: str, count: int, seconds: float) -> Decision:
    """Wait for the so-manieth decision of a kind."""
    wait_until(
        lambda: len(journal.of(action, subject)) >= count,
        seconds,
        lambda: f"no {action} of {subject}; decided was: {[(item.action, item.message) for item in journal.decisions]}",
    )
    return journal.of(action, subject)[count - 1]


def figures_are_there(chat: ChatCluster) -> bool:
    """Whether the operator says so."""
    conditions = {item["type"]: item["status"] for item in chat.get()["status"]["conditions"]}
    return conditions.get("MetricsAvailable") == "True"
