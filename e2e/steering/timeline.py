"""What the operator decided, when, and the figures of the same time: for assertions and for the chart in the docs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

from e2e.scenarios.chat_cluster import ChatCluster

__all__ = ["Decision", "Journal"]

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Decision:
    """One entry of the journal in status; `time` in seconds since 1970."""

    time: float
    action: str
    subject: str
    message: str


@dataclass
class Journal:
    """Follows the journal in status, which holds only the latest decisions, for as long as the `with` block runs.

    What was decided before that is left out.
    """

    chat: ChatCluster
    decisions: list[Decision] = field(default_factory=list)
    modes: list[tuple[float, str]] = field(default_factory=list)
    _before: frozenset[Decision] = frozenset()
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Journal:
        self._before = frozenset(self._read())
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def of(self, action: str, subject: str) -> list[Decision]:
        """Decisions of one kind, oldest first."""
        return [item for item in self.decisions if (item.action, item.subject) == (action, subject)]

    @property
    def mode(self) -> str:
        """The fallback in force when last looked at."""
        return self.modes[-1][1] if self.modes else ""

    def _follow(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            known = self._before | set(self.decisions)
            self.decisions += [item for item in self._read() if item not in known]
            mode = (self.chat.get().get("status") or {}).get("mode", "")
            if mode and mode != self.mode:
                self.modes.append((time.time(), mode))

    def _read(self) -> list[Decision]:
        status = self.chat.get().get("status") or {}
        return [_decision(item) for item in status.get("decisions") or []]


def _decision(item: dict[str, Any]) -> Decision:
    when = datetime.fromisoformat(item["time"]).timestamp()
    return Decision(when, item["action"], item["subject"], item["message"])
