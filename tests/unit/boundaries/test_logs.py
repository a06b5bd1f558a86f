"""A log line is one event in both formats, JSON and console, even if its fields contain hostile text."""

import json
import logging

import pytest

from shared.telemetry.logs import ConsoleFormatter, JsonFormatter, Log, bound

HOSTILE = "a\nERROR forged job_id=1\x1b[2J\u202e"


def only(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    (record,) = caplog.records
    return record


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()])
def test_hostile_text_cannot_forge_an_event(formatter: logging.Formatter, caplog: pytest.LogCaptureFixture) -> None:
    Log("test").warning("refused", detail=HOSTILE)
    line = formatter.format(only(caplog))
    assert line.isprintable()
    assert "refused" in line
    assert "\\u202e" in line


def test_json_contains_bound_fields_and_event_fields(caplog: pytest.LogCaptureFixture) -> None:
    with bound(job_id="7", tenant="default"):
        Log("test").warning("task_done", outcome="jobdone", text="caf\u00e9 " + HOSTILE)
    line = json.loads(JsonFormatter().format(only(caplog)))
    fields = {key: line[key] for key in ("level", "logger", "event", "job_id", "tenant", "outcome", "text")}
    assert fields == {
        "level": "WARNING",
        "logger": "test",
        "event": "task_done",
        "job_id": "7",
        "tenant": "default",
        "outcome": "jobdone",
        "text": "caf\u00e9 " + HOSTILE,
    }


def test_the_console_shows_unicode_letters_and_puts_the_traceback_below_the_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Log("test").warning("internal_error", word="caf\u00e9", traceback="Traceback:\n  line 1")
    line, *below = ConsoleFormatter().format(only(caplog)).splitlines()
    assert line.endswith("WARNING internal_error word=caf\u00e9")
    assert below == ["Traceback:", "  line 1"]


def test_the_console_quotes_values_with_spaces_and_omits_absent_values(caplog: pytest.LogCaptureFixture) -> None:
    Log("test").warning("refused", detail='a "b" c', empty="", pair="a=b", absent=None, count=0)
    line = ConsoleFormatter().format(only(caplog))
    assert line.endswith(r"""refused detail="a \"b\" c" empty="" pair="a=b" count=0""")


def test_json_puts_an_exception_on_the_same_line(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        Log("test").error("broke", exc_info=True)
    line = JsonFormatter().format(only(caplog))
    assert "\n" not in line
    assert json.loads(line)["traceback"].startswith("Traceback")
