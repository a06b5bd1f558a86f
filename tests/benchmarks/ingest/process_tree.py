"""Memory and processor time of a server with all its processes, as the kernel counts them."""

from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.process_figures import TICKS_PER_S
from tests.stack.launched import descendants

RESET_PEAK = "5"  # proc(5), clear_refs: the peak becomes what is resident now


class Tree(NamedTuple):
    """A process and its descendants as they were when they were looked for."""

    pids: frozenset[int]

    @classmethod
    def of(cls, pid: int) -> "Tree":
        return cls(frozenset({pid, *descendants(pid)}))

    def reset_peak(self) -> None:
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)

    def resident_bytes(self) -> int:
        """The sum; pages that processes share are counted for each."""
        return sum(_status_bytes(pid, "VmRSS") for pid in self.pids)

    def peak_bytes(self) -> int:
        """The sum of the most that each had since the reset. OSError when one of them is gone."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self.pids)

    def cpu_s(self) -> float:
        """In user and kernel mode, with what their ended children took."""
        return sum(_cpu_s(pid) for pid in self.pids)


def _status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it ended meanwhile: its parent has its time
    return sum(map(int, fields[11:15])) / TICKS_PER_S
