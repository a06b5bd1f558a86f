"""Processes that compute have a low priority, also where Linux divides the cores among sessions. Real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.background import NICENESS
from tests.support.stack.launched import ROOT

GROUP = Path("/proc/self/autogroup")
PROGRAM = f"""
from pathlib import Path
import os
from shared.background import run_in_background
run_in_background()
print(os.sched_getscheduler(0) == os.SCHED_BATCH, os.nice(0), Path({str(GROUP)!r}).read_text())
"""
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (GROUP.exists() and GROUP.read_text()), reason="this system does not divide the cores among sessions"
    ),
]


def _start(*, in_new_session: bool) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=in_new_session)


def _nices(program: subprocess.Popen[str]) -> tuple[int, int]:
    """Return the niceness of a process, and that of its session."""
    is_batch, process, *session = program.communicate()[0].split()
    assert is_batch == "True"
    return int(process), int(session[-1])


def test_a_session_of_its_own_has_a_low_priority() -> None:
    assert _nices(_start(in_new_session=True)) == (NICENESS, NICENESS)


def test_a_shared_session_keeps_its_priority() -> None:
    before = GROUP.read_text()

    assert _nices(_start(in_new_session=False)) == (NICENESS, int(before.rpartition(" ")[2]))
    assert GROUP.read_text() == before


def test_many_that_start_together_have_a_low_priority() -> None:
    programs = [_start(in_new_session=True) for _ in range(4)]

    assert [_nices(program) for program in programs] == [(NICENESS, NICENESS)] * 4
