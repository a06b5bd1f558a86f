"""Prometheus itself reads the rules, and each alert fires in its case and in no other's."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.metrics.prometheus_tools import program
from tests.metrics.queries import PROMETHEUS, RULES, RULES_TEST, rules


def promtool(*arguments: str | Path, folder: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    command = [program("promtool"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_rules_and_the_example_of_a_configuration_are_read() -> None:
    assert promtool("check", "config", "prometheus.yaml").returncode == 0


def test_each_case_holds() -> None:
    result = promtool("test", "rules", RULES_TEST.name)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("alert", [rule.alert for rule in rules()])
def test_an_alert_that_never_fires_is_noticed(alert: str, tmp_path: Path) -> None:
    silenced = re.sub(
        rf"(alert: {alert}\n\s+expr: )(\|\n(\s{{10}}.*\n)+|.*\n)", r"\g<1>vector(1) < 0\n", RULES.read_text()
    )
    assert silenced != RULES.read_text()
    (tmp_path / RULES.name).write_text(silenced)
    (tmp_path / RULES_TEST.name).write_text(RULES_TEST.read_text())
    assert promtool("check", "rules", RULES.name, folder=tmp_path).returncode == 0
    assert promtool("test", "rules", RULES_TEST.name, folder=tmp_path).returncode == 1
