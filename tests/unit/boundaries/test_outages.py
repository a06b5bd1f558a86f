"""An outage of a dependency is two log lines: when it begins and when it ends."""

import logging

import pytest

from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outages = Outages(Log("test"), "dependency_unavailable", "dependency_available", is_error=True)
    outages.worked("database", "storage")
    for _ in range(3):
        outages.failed(ConnectionRefusedError("refused"), "database")
    outages.failed(None, "storage")
    for _ in range(2):
        outages.worked("database")
    outages.failed(TimeoutError(), "database")

    lines = [(record.getMessage(), vars(record)["fields"]) for record in caplog.records]
    assert [(event, fields["dependency"]) for event, fields in lines] == [
        ("dependency_unavailable", "database"),
        ("dependency_unavailable", "storage"),
        ("dependency_available", "database"),
        ("dependency_unavailable", "database"),
    ]
    assert lines[0][1]["error"] == "ConnectionRefusedError: refused"
    assert lines[2][1]["outage_s"] >= 0
    assert lines[3][1]["error"] == "TimeoutError"
    outages.forget()
    outages.worked("database", "storage")
    assert len(caplog.records) == len(lines)
