"""What the operator decided, when, and the figures of the same time: for assertions and for the chart in the docs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from e2e.scenarios.chat_cluster import ChatCluster
from e2e.steering.background import Background

__all__ = ["Decision", "Journal"]

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Decision:
    """One entry of the journal in status; `time` in seconds since 1970."""

    time: float
    action: str
    subject: str
    message: str


class Journal(Background):
    """Follows the journal in status, which holds only the latest decisions. What was decided before is left out."""

    def __init__(self, chat: ChatCluster) -> None:
        super().__init__()
        self.decisions: list[Decision] = []
        self.modes: list[tuple[float, str]] = []
        self._chat = chat
        self._before = frozenset(self._read())

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
            known = self._before | set(self.decisions)
            self.decisions += [item for item in self._read() if item not in known]
            mode = (self._chat.get().get("status") or {}).get("mode", "")
            if mode and mode != self.mode:
                self.modes.append((time.time(), mode))

    def _read(self) -> list[Decision]:
        status = self._chat.get().get("status") or {}
        return [_decision(item) for item in status.get("decisions") or []]


def _decision(item: dict[str, Any]) -> Decision:
    when = datetime.fromisoformat(item["time"]).timestamp()
    return Decision(when, item["action"], item["subject"], item["message"])
