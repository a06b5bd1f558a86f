"""Promtool accepts the rules; each alert fires in its own case only."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.support.metrics.prometheus_tools import program
from tests.support.metrics.queries import PROMETHEUS, RULES, RULES_TEST, rules

pytestmark = pytest.mark.process

NEVER = "vector(1) < 0"


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_promtool_accepts_the_rules_and_the_example_configuration() -> None:
    result = promtool("check", "config", "prometheus.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_all_rule_tests_pass() -> None:
    result = promtool("test", "rules", RULES_TEST.name)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_alert_that_never_fires_fails_its_case(tmp_path: Path) -> None:
    silenced = [{**msgspec.to_builtins(rule), "expr": NEVER} for rule in rules()]
    (tmp_path / RULES.name).write_bytes(msgspec.json.encode({"groups": [{"name": "silenced", "rules": silenced}]}))
    (tmp_path / RULES_TEST.name).write_bytes(RULES_TEST.read_bytes())
    assert promtool("check", "rules", RULES.name, folder=tmp_path).returncode == 0
    result = promtool("test", "rules", RULES_TEST.name, folder=tmp_path)
    assert result.returncode == 1
    assert [rule.alert for rule in rules() if f'alertname="{rule.alert}"' not in result.stderr + result.stdout] == []
