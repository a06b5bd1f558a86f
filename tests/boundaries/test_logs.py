"""A log line is one event: in JSON, and in the form for people, whatever somebody put into its fields."""

import json
import logging

import pytest

from shared.telemetry.logs import ConsoleFormatter, JsonFormatter, Log, bound

HOSTILE = "a\nERROR forged job_id=1\x1b[2J\u202e"


def only(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    (record,) = caplog.records
    return record


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()])
def test_what_somebody_sent_cannot_look_like_an_event(
    formatter: logging.Formatter, caplog: pytest.LogCaptureFixture
) -> None:
    Log("test").warning("refused", detail=HOSTILE)
    line = formatter.format(only(caplog))
    assert line.isprintable()
    assert "refused" in line
    assert "\\u202e" in line


def test_json_holds_what_was_bound_and_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    with bound(job_id="7", tenant="default"):
        Log("test").warning("task_done", outcome="jobdone", text="caf\u00e9 " + HOSTILE)
    line = json.loads(JsonFormatter().format(only(caplog)))
    told = {key: line[key] for key in ("level", "logger", "event", "job_id", "tenant", "outcome", "text")}
    assert told == {
        "level": "WARNING",
        "logger": "test",
        "event": "task_done",
        "job_id": "7",
        "tenant": "default",
        "outcome": "jobdone",
        "text": "caf\u00e9 " + HOSTILE,
    }


def test_people_see_letters_and_a_traceback_below_the_line(caplog: pytest.LogCaptureFixture) -> None:
    Log("test").warning("internal_error", word="caf\u00e9", traceback="Traceback:\n  line 1")
    line, *below = ConsoleFormatter().format(only(caplog)).splitlines()
    assert line.endswith("WARNING internal_error word=caf\u00e9")
    assert below == ["Traceback:", "  line 1"]


def test_json_keeps_an_exception_on_its_line(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        Log("test").error("broke", exc_info=True)
    line = JsonFormatter().format(only(caplog))
    assert "\n" not in line
    assert json.loads(line)["traceback"].startswith("Traceback")
