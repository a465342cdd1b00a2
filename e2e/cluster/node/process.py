"""Name a process so that no other process can be taken for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessId", "resident_bytes"]

_START_TIME_FIELD = 22
_PAGE_BYTES = 4096


@dataclass(frozen=True)
class ProcessId:
    """A process id with the process' start time (clock ticks since boot): ids are used again, pairs are not."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of a running process, None if there is no such process."""
        fields = _stat_fields(pid)
        # A zombie holds nothing any more.
        if fields is None or fields[0] == "Z":
            return None
        return cls(pid, int(fields[_START_TIME_FIELD - 3]))

    @property
    def running(self) -> bool:
        """Whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def __str__(self) -> str:
        return f"{self.pid} {self.start_time}"

    @classmethod
    def parse(cls, text: str) -> ProcessId:
        """Read what `str` writes."""
        pid, start_time = text.split()
        return cls(int(pid), int(start_time))


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third (the state) on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the name in parentheses, may hold spaces and parentheses itself.
    return text.rpartition(")")[2].split()
