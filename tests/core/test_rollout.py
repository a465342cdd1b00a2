"""Roll-out and scaling of a tier: surge one, wait until it serves, drain one, never losing the last healthy engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heterollm_controllers.engines.rollout import Step, next_step
from heterollm_controllers.engines.standby import on_standby
from heterollm_controllers.observation.engines import ObservedEngine, ObservedPod
from tests.core.properties import quick

_PLAIN_POD = ObservedPod("", "", 0, "10.0.0.1", True, False, 0, "", None, False, True, None, None)


def engine(text: str) -> ObservedEngine:
    """An engine from a word such as A0+ : revision A, ordinal 0; + serves, . does not, ? has no node, - leaves."""
    revision, ordinal, state = text[0], int(text[1:-1]), text[-1]
    name, bound = f"c-t-{ordinal}", state != "?"
    pod = replace(_PLAIN_POD, name=f"{name}-0", uid=f"{text}-pod", ready=state == "+", bound=bound, revision=revision)
    return ObservedEngine(name, f"uid-{ordinal}", "t", ordinal, revision, 1, state == "-", (pod,))


def step(desired: int, revision: str, engines: str) -> tuple[tuple[int, ...], set[int]]:
    result = next_step(desired, revision, [engine(word) for word in engines.split()])
    assert bool(result.why) == bool(result.add or result.drain), "exactly what is done is explained"
    return result.add, {item.ordinal for item in result.drain}


@pytest.mark.parametrize(
    ("desired", "engines", "add", "drain"),
    [
        # B is the wanted revision everywhere.
        pytest.param(0, "", (), set(), id="nothing wanted, nothing there"),
        pytest.param(2, "", (0, 1), set(), id="create all at once"),
        pytest.param(2, "B0.", (1,), set(), id="create the rest"),
        pytest.param(2, "B0+ B1+", (), set(), id="settled"),
        pytest.param(2, "B0. B1.", (), set(), id="starting"),
        pytest.param(3, "B0+ B2+", (1,), set(), id="lowest free ordinal"),
        pytest.param(2, "B0+ B1-", (2,), set(), id="name of a leaving engine is taken"),
        # Scaling
        pytest.param(3, "B0+", (1, 2), set(), id="scale out"),
        pytest.param(1, "B0+ B1+ B2+", (), {1, 2}, id="scale in takes the newest"),
        pytest.param(1, "B0. B1+", (), {0}, id="scale in takes the idle first"),
        pytest.param(2, "B0+ B1. B2.", (), {2}, id="scale in while starting"),
        pytest.param(2, "B0+ B1? B2.", (), {1}, id="scale in takes those without a node before those that start"),
        pytest.param(
            1, "B0? B1. B2+ B3?", (), {0, 1, 3}, id="scale in takes all that do not serve before one that does"
        ),
        pytest.param(0, "B0+ B1.", (), {0, 1}, id="scale to zero"),
        pytest.param(0, "A0+ A1.", (), {0, 1}, id="scale an old revision to zero"),
        # Roll-out
        pytest.param(2, "A0+ A1+", (2,), set(), id="surge one"),
        pytest.param(2, "A0+ A1+ B2.", (), set(), id="wait until it serves"),
        pytest.param(2, "A0+ A1+ B2+", (), {1}, id="drain one old"),
        pytest.param(2, "A0+ A1- B2+", (), set(), id="wait until it is gone"),
        pytest.param(2, "A0+ B2+", (1,), set(), id="surge the next"),
        pytest.param(2, "A0+ B1+ B2+", (), {0}, id="drain the last old"),
        pytest.param(2, "A0+ A1. B2.", (), {1}, id="an old engine that serves nobody makes room"),
        pytest.param(2, "A0. A1. B2.", (), {1}, id="one idle old engine at a time"),
        pytest.param(1, "A0. B1.", (), {0}, id="idle old engine of a broken start"),
        pytest.param(3, "A0. A1. A2. B3+", (), {0, 1, 2}, id="all idle old engines once the new revision works"),
        pytest.param(3, "A0. A1. A2+ B3+", (), {0, 1}, id="but none that serves and is needed"),
        pytest.param(3, "A0- A1- A2- B3+", (4, 5), set(), id="and all that are missing at once"),
        pytest.param(1, "A0+ B1.", (), set(), id="broken new revision keeps the old engine"),
        pytest.param(1, "A0+ C1. ", (), {1}, id="third revision first removes the broken second"),
        pytest.param(2, "B0+ B1+ A2.", (), {2}, id="revert drains the broken new engine"),
        pytest.param(2, "B0+ B1+ A2+", (), {2}, id="revert drains a serving new engine once enough serve"),
        pytest.param(2, "B0+ B1. A2+", (), set(), id="revert waits for enough of the old"),
        # Both at once
        pytest.param(3, "A0+ A1+", (2, 3), set(), id="scale out with a new revision"),
        pytest.param(1, "A0+ A1+ A2+", (), {1, 2}, id="scale in before rolling out"),
        pytest.param(1, "A0+ A1+ B2.", (), {1}, id="scale in while the new revision starts"),
        pytest.param(2, "A0+ B1+ B2+ B3+", (), {0, 3}, id="surplus takes old ones first"),
        pytest.param(2, "A0+ A1+ B2? B3? B4?", (), {3, 4}, id="one surge is enough for fewer than were to come"),
        pytest.param(2, "A0+ A1+ B2. B3?", (), {3}, id="the surge that has a node"),
        pytest.param(1, "A0+ A1+ B2? B3?", (), {1, 3}, id="old ones that are not needed leave, too"),
        pytest.param(3, "A0+ A1+ B2. B3.", (), set(), id="a surge and one that is wanted"),
    ],
)
def test_next_step(desired: int, engines: str, add: tuple[int, ...], drain: set[int]) -> None:
    assert step(desired, "B", engines) == (add, drain)


def test_serving_old_engine_is_kept_while_fewer_than_wanted_serve() -> None:
    """A current engine went down in the middle of a roll-out, with one more than wanted alive."""
    assert step(2, "B", "A0+ B1. B2+") == ((), set())


def test_broken_gang_counts_as_not_serving() -> None:
    engines = [engine("A0+"), engine("A1+"), replace(engine("B2+"), broken=True)]
    assert next_step(2, "B", engines) == Step()


def test_the_figures_are_in_the_explanation() -> None:
    result = next_step(2, "B", [engine("A0+"), engine("A1+"), engine("B2+")])
    assert result.why == "want 2, have 1 current and 2 older engines, 3 serve"


class Tier(RuleBasedStateMachine):
    """A tier whose engines start, serve, fail and go as they like, while its spec changes under them."""

    def __init__(self) -> None:
        super().__init__()
        self.desired = 2
        self.revision = "A"
        self.broken = {"X"}
        """Revisions whose engines never serve."""
        self.engines: dict[int, ObservedEngine] = {}
        self.most = 2
        """Engines that may be alive: one more than wanted, or what there was when the wanted number shrank."""

    # --- what may happen at any time

    @rule(desired=st.integers(0, 4))
    def scale(self, desired: int) -> None:
        self.desired = desired

    @rule(revision=st.sampled_from("ABX"))
    def change(self, revision: str) -> None:
        self.revision = revision

    @precondition(lambda self: self.engines)
    @rule(data=st.data())
    def pod_becomes_ready(self, data: st.DataObject) -> None:
        self._set(data, "+")

    @precondition(lambda self: self.engines)
    @rule(data=st.data())
    def pod_fails(self, data: st.DataObject) -> None:
        self._set(data, ".")

    @precondition(lambda self: any(item.leaving for item in self.engines.values()))
    @rule(data=st.data())
    def engine_is_gone(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from([item.ordinal for item in self.engines.values() if item.leaving]))
        del self.engines[gone]

    @rule()
    def decide_and_act(self) -> None:
        self._act(self._step())

    @rule()
    def decide_on_one_view_twice(self) -> None:
        """A crash after acting, or a cache that does not show the result yet."""
        view = list(self.engines.values())
        self._act(next_step(self.desired, self.revision, view))
        after = dict(self.engines)
        self._act(next_step(self.desired, self.revision, view))
        assert self.engines == after

    @rule()
    def settles_when_the_revision_works(self) -> None:
        """From any state whatever: everything that can serve does, and what leaves goes."""
        assume(self.revision not in self.broken)
        for _ in range(40):
            for ordinal, item in list(self.engines.items()):
                if item.leaving:
                    del self.engines[ordinal]
                elif item.revision not in self.broken:
                    self.engines[ordinal] = engine(f"{item.revision}{ordinal}+")
            if not self._act(self._step()) and not any(item.leaving for item in self.engines.values()):
                break
        assert {item.revision for item in self.engines.values()} <= {self.revision}
        assert len(self.engines) == self.desired
        assert all(item.serving for item in self.engines.values())

    # --- helpers

    def _set(self, data: st.DataObject, state: str) -> None:
        alive = [item.ordinal for item in self.engines.values() if not item.leaving]
        assume(alive)
        ordinal = data.draw(st.sampled_from(alive))
        revision = self.engines[ordinal].revision
        assume(state == "." or revision not in self.broken)
        self.engines[ordinal] = engine(f"{revision}{ordinal}{state}")

    def _step(self) -> Step:
        view = list(self.engines.values())
        result = next_step(self.desired, self.revision, view)
        assert next_step(self.desired, self.revision, view) == result
        assert next_step(self.desired, self.revision, view[::-1]).add == result.add
        return result

    def _act(self, result: Step) -> bool:
        before = self._serving()
        for gone in result.drain:
            if gone.ordinal in self.engines:
                self.engines[gone.ordinal] = engine(f"{gone.revision}{gone.ordinal}-")
        for ordinal in result.add:
            self.engines.setdefault(ordinal, engine(f"{self.revision}{ordinal}."))
        if result.drain and self._serving() < before:
            assert self._serving() >= self.desired, "drained a serving engine that was needed"
        return bool(result.add or result.drain)

    def _alive(self) -> int:
        return sum(not item.leaving for item in self.engines.values())

    def _serving(self) -> int:
        return sum(item.serving for item in self.engines.values())

    @invariant()
    def never_more_than_one_too_many(self) -> None:
        self.most = max(self.desired + 1, min(self.most, self._alive()))
        assert self._alive() <= self.most


class BrokenRollout(RuleBasedStateMachine):
    """A healthy tier gets a revision that never serves. Whatever happens, the healthy engines stay."""

    def __init__(self) -> None:
        super().__init__()
        self.engines = {ordinal: engine(f"A{ordinal}+") for ordinal in range(3)}
        self.revision = "X"

    @rule(revision=st.sampled_from("XYZ"))
    def try_another_broken_one(self, revision: str) -> None:
        self.revision = revision

    @rule()
    def decide_and_act(self) -> None:
        result = next_step(3, self.revision, list(self.engines.values()))
        for gone in result.drain:
            self.engines[gone.ordinal] = engine(f"{gone.revision}{gone.ordinal}-")
        for ordinal in result.add:
            self.engines[ordinal] = engine(f"{self.revision}{ordinal}.")

    @rule()
    def leaving_engines_go(self) -> None:
        self.engines = {ordinal: item for ordinal, item in self.engines.items() if not item.leaving}

    @invariant()
    def healthy_engines_stay(self) -> None:
        assert [item.ordinal for item in self.engines.values() if item.revision == "A" and item.serving] == [0, 1, 2]


TestTier = Tier.TestCase
TestTier.settings = quick(40)
TestBrokenRollout = BrokenRollout.TestCase
TestBrokenRollout.settings = quick(10)


def test_an_engine_on_standby_never_changes_places_with_an_idle_one() -> None:
    idle = {"c-t-0": 0.0, "c-t-1": 0.0}
    for reserve in ("c-t-0", "c-t-1"):
        assert on_standby([engine("A0+"), engine("A1+")], 1, {reserve}, idle) == {reserve}
