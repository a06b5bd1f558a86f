"""An outage of a dependency is two log lines: when it begins and when it ends."""

import logging

import pytest

from ingest_service.telemetry.outages import OutageLog


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outages = OutageLog()
    outages.ended("database", "storage")
    for _ in range(3):
        outages.began("database", ConnectionRefusedError("refused"))
    outages.began("storage", None)
    for _ in range(2):
        outages.ended("database")
    outages.began("database", TimeoutError())

    lines = [(record.getMessage(), vars(record)["fields"]) for record in caplog.records]
    assert [(event, fields["dependency"]) for event, fields in lines] == [
        ("dependency_unavailable", "database"),
        ("dependency_unavailable", "storage"),
        ("dependency_available", "database"),
        ("dependency_unavailable", "database"),
    ]
    assert lines[0][1]["error"] == "refused"
    assert lines[2][1]["unavailable_s"] >= 0
    assert lines[3][1]["error"] == "TimeoutError"
    outages.forget()
    outages.ended("database", "storage")
    assert len(caplog.records) == len(lines)
