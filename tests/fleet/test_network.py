"""The fleet's network: hosts that see one another, and links that drop everything in silence, or are slow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.allowed import NAMESPACES, environment, why_not
from tests.fleet.namespaces import ROOT

WITHIN_S = 120


@pytest.mark.process
def test_hosts_hear_one_another_unless_their_link_is_cut_and_share_no_disk(tmp_path: Path) -> None:
    if why := why_not():
        pytest.skip(why)
    inside = ["unshare", *NAMESPACES, sys.executable, "-m", "tests.fleet.try_network", str(tmp_path)]
    ran = subprocess.run(
        inside, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    tried = json.loads(ran.stdout)
    assert tried["at_first"] is True
    assert tried["cut_off"] is False
    assert tried["joined"] is True
    assert tried["far"] is True
    assert tried["near_again"] is True
    assert tried["line"]["frames_passed"] > 0
    assert (tried["name"], tried["folders_seen"]) == ("one", ["one"])


def test_who_is_not_root_is_told_why_there_is_no_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "need root" in why_not()


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("tests.fleet.allowed.search_path", lambda: str(tmp_path))
    assert "unshare, nsenter" in why_not()
