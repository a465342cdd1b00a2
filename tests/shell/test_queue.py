"""The work queue, in virtual time."""

from __future__ import annotations

import asyncio
import heapq

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from heterollm_operator.process.queue import WorkQueue


class Time:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def queue(time: Time) -> WorkQueue[str]:
    return WorkQueue(time, base=1.0, limit=10.0)


def keys(queue: WorkQueue[str]) -> list[str]:
    """Take everything that is due, and finish it."""
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item[0])
        queue.done(item[0])
    return taken


def test_keys_come_once_and_in_order(queue: WorkQueue[str]) -> None:
    for key in "abacb":
        queue.add(key)
    assert len(queue) == 3
    assert keys(queue) == ["a", "b", "c"]


def test_a_key_added_while_it_is_worked_on_comes_again_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() is not None
    queue.add("a")
    assert queue.take() is None, "one worker per key"
    queue.done("a")
    assert keys(queue) == ["a"]
    assert keys(queue) == []


def test_a_delayed_key_comes_at_its_time(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("a", 5)
    assert queue.next_due() == 5
    time.now = 4.9
    assert keys(queue) == []
    time.now = 5
    assert keys(queue) == ["a"]
    assert queue.next_due() is None


@pytest.mark.parametrize(("first", "second"), [(5, 3), (3, 5)])
def test_of_two_delays_the_earlier_counts_and_only_once(
    queue: WorkQueue[str], time: Time, first: float, second: float
) -> None:
    queue.add_after("a", first)
    queue.add_after("a", second)
    time.now = 3
    assert keys(queue) == ["a"]
    time.now = 10
    assert keys(queue) == []


def test_adding_a_delayed_key_makes_the_delay_void(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    assert keys(queue) == ["a"]
    time.now = 6
    assert keys(queue) == []


def test_back_off_doubles_to_its_limit_and_starts_over_after_a_success(queue: WorkQueue[str], time: Time) -> None:
    pauses = []
    queue.add("a")
    for _ in range(6):
        assert queue.take() is not None
        pauses.append(queue.fail("a"))
        time.now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 10, 10]
    assert keys(queue) == ["a"]
    queue.add("a")
    assert queue.take() is not None
    assert queue.fail("a") == 1


def test_an_event_ends_a_back_off(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() is not None
    queue.fail("a")
    queue.add("a")
    assert keys(queue) == ["a"]


def test_the_wait_is_measured_from_when_a_key_was_due(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("late", 2)
    queue.add("now")
    time.now = 5
    assert queue.take() == ("now", 5)
    assert queue.take() == ("late", 3)


def test_many_looks_leave_no_waste(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("z", 500)  # earlier than what the looks leave behind, which so stays buried
    for _ in range(10_000):
        queue.add("a")
        assert queue.take() is not None
        queue.done("a", after=600)
        time.now += 0.01
    assert len(queue._heap) < 200


def test_events_shortly_after_a_look_wait_for_the_rest_of_their_burst(time: Time) -> None:
    queue: WorkQueue[str] = WorkQueue(time, gap=0.5)
    queue.add("a")
    assert queue.take() is not None, "the first event of a burst does not wait"
    queue.done("a", after=600)
    for now in (0.1, 0.2, 0.4):
        time.now = now
        queue.add("a")
        assert queue.take() is None
    time.now = 0.5
    assert keys(queue) == ["a"]


def test_nothing_is_remembered_of_a_key_without_future(time: Time) -> None:
    queue: WorkQueue[str] = WorkQueue(time, gap=0.5)
    queue.add("a")
    assert keys(queue) == ["a"]
    queue.add("a")
    assert keys(queue) == ["a"]


def test_the_gap_lies_between_two_looks_whatever_happened_during_the_first(time: Time) -> None:
    queue: WorkQueue[str] = WorkQueue(time, gap=0.5)
    queue.add("a")
    assert queue.take() is not None
    queue.add("a")
    queue.done("a", after=600)
    assert queue.next_due() == 0.5
    assert queue.take() is None
    time.now = 0.5
    assert keys(queue) == ["a"]


def test_a_look_that_asks_for_another_at_once_gets_it(time: Time) -> None:
    queue: WorkQueue[str] = WorkQueue(time, gap=0.5)
    queue.add("a")
    assert queue.take() is not None
    queue.done("a", after=0)
    assert keys(queue) == ["a"]


async def test_get_waits_for_a_key_and_wakes_one_worker_per_key() -> None:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[str] = WorkQueue(loop.time)
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add_after("b", 0.001)
    done: set[asyncio.Task[tuple[str, float]]] = set()
    while len(done) < 2:
        done |= (await asyncio.wait(set(workers) - done, return_when=asyncio.FIRST_COMPLETED))[0]
    assert sorted(task.result()[0] for task in done) == ["a", "b"]
    for task in set(workers) - done:
        task.cancel()


class QueueMachine(RuleBasedStateMachine):
    """Whatever happens: one worker a key, no key is lost, none comes that nobody asked for, none too early or late.

    The model: a key has at most one time at which it is due. What happens while it is worked on, a delay that ends
    included, is remembered as one event: the key is due again a gap after that work.
    """

    KEYS = st.sampled_from("abcd")
    BASE, LIMIT, GAP = 1.0, 8.0, 2.0
    kind: type[WorkQueue[str]] = WorkQueue

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.queue = self.kind(self.time, base=self.BASE, limit=self.LIMIT, gap=self.GAP)
        self.due: dict[str, float] = {}
        self.busy: set[str] = set()
        self.again: set[str] = set()
        """Of those that are worked on: to come again for what has happened since."""
        self.rests: dict[str, float] = {}
        """When the gap ends after the work on a key."""
        self.failures: dict[str, int] = {}

    def ask(self, key: str, when: float) -> None:
        self.elapse()
        self.due[key] = min(self.due.get(key, when), when)

    def elapse(self) -> None:
        """Delays that have ended during work are events."""
        ended = {key for key in self.busy if self.due.get(key, self.time.now + 1) <= self.time.now}
        self.again |= ended
        for key in ended:
            del self.due[key]

    def ready(self) -> dict[str, float]:
        return {key: when for key, when in self.due.items() if when <= self.time.now and key not in self.busy}

    def release(self, key: str) -> None:
        self.elapse()
        self.busy.remove(key)
        self.rests[key] = self.time.now + self.GAP
        if key in self.again:
            self.again.remove(key)
            self.ask(key, self.rests[key])

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        if key in self.busy:
            self.again.add(key)
        else:
            self.ask(key, max(self.time.now, self.rests.get(key, 0.0)))

    @rule(key=KEYS, seconds=st.integers(0, 20))
    def add_after(self, key: str, seconds: int) -> None:
        self.queue.add_after(key, seconds)
        self.ask(key, self.time.now + seconds)

    @rule()
    def take(self) -> None:
        ready, item = self.ready(), self.queue.take()
        if item is None:
            assert not ready, "a due key was withheld"
            return
        key, waited = item
        assert key in ready, "a key came that was not due, or is being worked on"
        assert waited == self.time.now - ready[key] == self.time.now - min(ready.values()), "not the one due longest"
        del self.due[key]
        self.busy.add(key)
        self.rests.pop(key, None)

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), after=st.none() | st.integers(0, 20))
    def done(self, data: st.DataObject, after: int | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.busy)))
        self.queue.done(key, after)
        self.failures.pop(key, None)
        self.release(key)
        if after is None:
            del self.rests[key]
        else:
            self.ask(key, self.time.now + after)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.busy)))
        seconds = min(self.BASE * 2 ** self.failures.get(key, 0), self.LIMIT)
        assert self.queue.fail(key) == seconds
        self.failures[key] = self.failures.get(key, 0) + 1
        self.release(key)
        self.ask(key, self.time.now + seconds)

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.time.now += seconds

    @rule()
    def look(self) -> None:
        """Not after every step: that somebody looks must change nothing."""
        self.elapse()
        assert len(self.queue) == len(self.ready())
        later = [when - self.time.now for when in self.due.values() if when > self.time.now]
        assert self.queue.next_due() == min(later, default=None)

    def teardown(self) -> None:
        for key in self.busy:
            self.queue.done(key)
        self.time.now += 1000
        assert sorted(keys(self.queue)) == sorted({*self.due, *self.again}), "a key was lost"


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(deadline=None)


class _LosesDelaysDuringWork(WorkQueue[str]):
    def add_after(self, key: str, seconds: float) -> None:
        if key not in self._busy:
            super().add_after(key, seconds)


class _PutsDelaysOffUntilWorkEnds(WorkQueue[str]):
    """A delay that begins during work counts as an event at once."""

    def add_after(self, key: str, seconds: float) -> None:
        if key in self._busy:
            self.add(key)
        else:
            super().add_after(key, seconds)


class _GivesDelaysDuringWorkNoGap(WorkQueue[str]):
    """What ends during work is due as soon as that has ended, and waits from when it ended."""

    def _promote(self) -> None:
        busy = {key: self._due.pop(key) for key in self._busy & self._due.keys()}
        super()._promote()
        for key, when in busy.items():
            self._due[key] = when
            heapq.heappush(self._heap, (when, next(self._order), key))


class _LetsEventsIntoWork(WorkQueue[str]):
    def add(self, key: str) -> None:
        self._ready.setdefault(key, self._monotonic())


class _LosesEventsDuringFailedWork(WorkQueue[str]):
    def fail(self, key: str) -> float:
        self._again.discard(key)
        return super().fail(key)


class _LetsTheLaterDelayWin(WorkQueue[str]):
    def add_after(self, key: str, seconds: float) -> None:
        self._due.pop(key, None)
        super().add_after(key, seconds)


class _ChangesWhenNobodyLooks(WorkQueue[str]):
    """What has ended is noticed by `take` alone."""

    def _release(self, key: str) -> None:
        promote, self._promote = self._promote, lambda: None  # type: ignore[method-assign]
        super()._release(key)
        self._promote = promote  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "wrong",
    [
        _LosesDelaysDuringWork,
        _PutsDelaysOffUntilWorkEnds,
        _GivesDelaysDuringWorkNoGap,
        _LetsEventsIntoWork,
        _LosesEventsDuringFailedWork,
        _LetsTheLaterDelayWin,
        _ChangesWhenNobodyLooks,
    ],
)
def test_the_model_finds_a_wrong_queue(wrong: type[WorkQueue[str]]) -> None:
    class Machine(QueueMachine):
        kind = wrong

    quick = settings(
        deadline=None, derandomize=True, database=None, max_examples=5000, phases=[Phase.generate], print_blob=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=quick)
