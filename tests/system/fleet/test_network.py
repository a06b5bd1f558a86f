"""The fleet's network: hosts reach one another; a cut link drops all frames silently; a slow line delays them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.fleet.allowed import NAMESPACES, environment, unavailable_reason
from tests.tools.fleet.namespaces import ROOT

WITHIN_S = 120


@pytest.mark.process
def test_hosts_connect_unless_their_link_is_cut_and_share_no_disk(tmp_path: Path) -> None:
    if why := unavailable_reason():
        pytest.skip(why)
    inside = ["unshare", *NAMESPACES, sys.executable, "-m", "tests.tools.fleet.try_network", str(tmp_path)]
    ran = subprocess.run(
        inside, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["at_first"] is True
    assert result["cut_off"] is False
    assert result["joined"] is True
    assert result["far"] is True
    assert result["near_again"] is True
    assert result["line"]["frames_passed"] > 0
    assert (result["name"], result["folders_seen"]) == ("one", ["one"])


def test_without_root_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "need root" in unavailable_reason()


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("tests.tools.fleet.allowed.search_path", lambda: str(tmp_path))
    assert "unshare, nsenter" in unavailable_reason()
