"""Memory and CPU time of a server and its child processes, as the kernel counts them."""

from pathlib import Path
from typing import NamedTuple

from tests.support.stack.launched import descendants
from tests.tools.benchmarks.process_figures import TICKS_PER_S

RESET_PEAK = "5"  # proc(5), clear_refs: sets the peak to the resident size


class Tree(NamedTuple):
    """A process and its descendants at the time of creation of this object."""

    pids: frozenset[int]

    @classmethod
    def of(cls, pid: int) -> "Tree":
        return cls(frozenset({pid, *descendants(pid)}))

    def reset_peak(self) -> None:
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)

    def resident_bytes(self) -> int:
        """Return the sum; shared pages count once per process."""
        return sum(_status_bytes(pid, "VmRSS") for pid in self.pids)

    def peak_bytes(self) -> int:
        """Return the sum of each process's peak since the reset. Raise OSError when a process has ended."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self.pids)

    def cpu_s(self) -> float:
        """Return user and system time, including ended children."""
        return sum(_cpu_s(pid) for pid in self.pids)


def _status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it ended; its parent's counters include its time
    return sum(map(int, fields[11:15])) / TICKS_PER_S
