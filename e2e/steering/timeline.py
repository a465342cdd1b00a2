"""What the operator decided, when, and the figures of the same time: for assertions and for the chart in the docs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from e2e.scenarios.chat_cluster import ChatCluster
from e2e.steering.background import Background

__all__ = ["Decision", "Journal"]

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Decision:
    """One entry of the journal in status; `time` in seconds since 1970, `rule` a word of docs/steering.md."""

    time: float
    action: str
    subject: str
    message: str
    rule: str = field(compare=False)


class Journal(Background):
    """Follows the journal in status, which holds only the latest decisions. What was decided before is left out.

    Attributes
    ----------
    status
        The status of the cluster when last looked at.
    """

    def __init__(self, chat: ChatCluster) -> None:
        super().__init__()
        self.decisions: list[Decision] = []
        self.modes: list[tuple[float, str]] = []
        self._chat = chat
        self.status = self._look()
        self._before = frozenset(_decisions(self.status))

    def of(self, action: str, subject: str) -> list[Decision]:
        """Decisions of one kind, oldest first."""
        return [item for item in self.decisions if (item.action, item.subject) == (action, subject)]

    @property
    def mode(self) -> str:
        """The fallback in force when last looked at."""
        return self.modes[-1][1] if self.modes else ""

    def run(self) -> None:
        """Look once a second."""
        while not self.ended.wait(_LOOK_SECONDS):
            self.status = self._look()
            known = self._before | set(self.decisions)
            self.decisions += [item for item in _decisions(self.status) if item not in known]
            mode = self.status.get("mode", "")
            if mode and mode != self.mode:
                self.modes.append((time.time(), mode))

    def _look(self) -> dict[str, Any]:
        return self._chat.get().get("status") or {}


def _decisions(status: dict[str, Any]) -> list[Decision]:
    return [_decision(item, status) for item in status.get("decisions") or []]


def _decision(item: dict[str, Any], status: dict[str, Any]) -> Decision:
    when = datetime.fromisoformat(item["time"]).timestamp()
    # Of scaling, the word for the rule is with the tier's last decision.
    scaled = [tier.get("scaling") or {} for tier in status["tiers"] if tier["name"] == item["subject"]]
    rule = next((last["reason"] for last in scaled if last.get("message") == item["message"]), item["action"])
    return Decision(when, item["action"], item["subject"], item["message"], rule)
