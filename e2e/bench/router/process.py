"""A side's processes: started, pinned to a core, measured, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["cores", "cpu_seconds", "resident_mib", "running", "tree"]

_GRACE = 5.0
"""Seconds a side has to end by itself."""


@contextmanager
def running(
    words: Sequence[str | Path], log: Path, core: int, environment: dict[str, str], *, quiet: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with all its children on one core; what it says goes to the log, or its output to the caller."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            # It dies with us even if we are killed and can end nothing.
            ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *words],
            stdin=subprocess.DEVNULL,
            stdout=sink if quiet else subprocess.PIPE,
            stderr=sink,
            env={**os.environ, **environment},
            cwd=Path(__file__).parents[3],
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process leads a session of its own, so its whole group is ours to end."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(_GRACE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def cores() -> tuple[int, int]:
    """The core of the sides and the core of clients and engines; the same one where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of these processes so far, to the nanosecond: /proc counts in hundredths of a second."""
    # The number of a process's CPU clock, as clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def resident_mib(pids: Sequence[int]) -> float:
    """Resident memory of these processes together, in MiB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
