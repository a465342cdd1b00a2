"""A steady, bounded load of chat requests, and what became of each of them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from e2e.chat import ask
from e2e.cluster.cache import print_report

__all__ = ["Load", "Outcome", "engine_in"]

_WORKERS = 4
_PAUSE_SECONDS = 0.1
_LONGEST_SECONDS = 180.0
_ENGINE = re.compile(r"engine ([a-z0-9-]+)")


@dataclass(frozen=True)
class Outcome:
    """One request: when it was sent (seconds by its sender), its HTTP status (0: no answer), and who answered."""

    sent: float
    seconds: float
    status: int
    tier: str
    engine: str
    text: str


@dataclass
class Load:
    """Sends non-streamed requests to each of `models` in turn for as long as the `with` block runs.

    Every request has a connection of its own, so that each is balanced anew over the routers.
    """

    url: str
    models: tuple[str, ...]
    outcomes: list[Outcome] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _workers: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        until = time.monotonic() + _LONGEST_SECONDS
        self._workers = [threading.Thread(target=self._work, args=(n, until)) for n in range(_WORKERS)]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join()
        longest = max((outcome.seconds for outcome in self.outcomes), default=0.0)
        print_report(f"{len(self.outcomes)} requests, {len(self.failures)} failed, the longest took {longest:.1f} s")

    @property
    def failures(self) -> list[Outcome]:
        """Requests that got anything but a whole answer."""
        return [outcome for outcome in self.outcomes if outcome.status != 200]

    def engines(self, since: float) -> set[str]:
        """Engines (pods) that answered requests sent after `since`, in monotonic seconds."""
        return {outcome.engine for outcome in self.outcomes if outcome.sent > since and outcome.status == 200}

    def count(self, since: float) -> int:
        """Requests sent after `since` and answered."""
        return sum(outcome.sent > since for outcome in self.outcomes)

    def _work(self, number: int, until: float) -> None:
        turn = number
        while not self._stop.wait(_PAUSE_SECONDS) and time.monotonic() < until:
            turn += 1
            # Another text each time, as requests of one prefix stay on one engine.
            self.outcomes.append(_one(self.url, f"Question {number}.{turn}", self.models[turn % len(self.models)]))


def _one(url: str, text: str, model: str) -> Outcome:
    sent = time.monotonic()
    try:
        answer = ask(url, text, model, max_tokens=16)
    except (OSError, ValueError) as error:
        return Outcome(sent, time.monotonic() - sent, 0, "", "", repr(error))
    took = time.monotonic() - sent
    return Outcome(sent, took, answer.status, answer.tier, engine_in(answer.text), answer.text[:200])


def engine_in(text: str) -> str:
    """The pod of the simulated engine that has answered, which its text tells; empty if it is none of those."""
    found = _ENGINE.search(text)
    return found[1] if found else ""
