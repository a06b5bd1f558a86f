"""Ranges, cursors, names and settings: functions of their arguments."""

import datetime as dt
import uuid

import pytest

from ingest_service.errors import RefusedError
from ingest_service.jobs.queries import parse_job_id
from ingest_service.jobs.results import RangeNotSatisfiableError, parse_range
from ingest_service.jobs.views import (
    DeadLetterPosition,
    decode_cursor,
    decode_dead_letter_cursor,
    encode_cursor,
    encode_dead_letter_cursor,
)
from ingest_service.settings import IngestSettings
from ingest_service.uploads.receive import clean_filename
from shared.ids import new_id
from shared.settings import SettingsError, load_settings

URLS = {
    "HEADRACE_DATABASE_URL": "postgresql://x",
    "HEADRACE_REDIS_URL": "redis://x",
    "HEADRACE_STORAGE_URL": "file:///x",
}
UNKNOWN = uuid.UUID("01a22100-8814-70e6-9a02-0c8a2c7661df")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-", (10, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=50-1000", (50, 100)),
        ("bytes=0-1,5-6", None),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("items=0-1", None),
        ("bytes=x-1", None),
        (None, None),
    ],
)
def test_ranges(header: str | None, span: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=1000-2000", "bytes=-0"])
def test_ranges_after_the_end(header: str) -> None:
    with pytest.raises(RangeNotSatisfiableError):
        parse_range(header, 100)


def test_a_cursor_round_trips() -> None:
    job_id = new_id()
    assert decode_cursor(encode_cursor(job_id)) == job_id


@pytest.mark.parametrize("cursor", ["", "x", "ä", "A" * 22 + "=", "B" * 22, "a" * 500])
def test_invalid_cursors_are_refused(cursor: str) -> None:
    for decode in (decode_cursor, decode_dead_letter_cursor):
        with pytest.raises(RefusedError, match="cursor"):
            decode(cursor)


@pytest.mark.parametrize(
    "died_at", ["2026-11-21T07:11:00.000001Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
)
def test_a_dead_letter_cursor_round_trips(died_at: str) -> None:
    place = DeadLetterPosition(dt.datetime.fromisoformat(died_at), new_id())
    assert decode_dead_letter_cursor(encode_dead_letter_cursor(place)) == place


def test_the_cursor_of_one_list_is_invalid_for_the_other() -> None:
    place = DeadLetterPosition(dt.datetime.now(dt.UTC), new_id())
    with pytest.raises(RefusedError, match="cursor"):
        decode_cursor(encode_dead_letter_cursor(place))
    with pytest.raises(RefusedError, match="cursor"):
        decode_dead_letter_cursor(encode_cursor(place.task_id))


def test_a_cursor_with_an_impossible_time_is_refused() -> None:
    with pytest.raises(RefusedError, match="cursor"):
        decode_dead_letter_cursor("f" * 32)


@pytest.mark.parametrize("text", ["", "1", "{" + str(UNKNOWN) + "}", UNKNOWN.hex, "x" * 36, "../etc/passwd"])
def test_an_invalid_job_id_is_not_found(text: str) -> None:
    with pytest.raises(RefusedError, match="not_found"):
        parse_job_id(text)


def test_file_names_are_cleaned() -> None:
    assert clean_filename("name\r\nX-Injected: 1\x00.wav") == "nameX-Injected: 1.wav"
    assert clean_filename("\u202egpj.wav") == "gpj.wav"
    assert clean_filename("n" * 1000) == "n" * 255
    assert clean_filename("") is None


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HEADRACE_HOST": "0.0.0.0"}, "HEADRACE_AUTH=required"),  # noqa: S104 - it must be refused
        ({"HEADRACE_AUTH": "none", "HEADRACE_HOST": "0.0.0.0"}, "loopback"),  # noqa: S104 - it must be refused
        ({"HEADRACE_AUTH": "none", "HEADRACE_HOST": "example.com"}, "loopback"),
        ({"HEADRACE_AUTH": "none", "HEADRACE_PORT": "99999"}, "HEADRACE_PORT"),
        ({"HEADRACE_AUTH": "none", "HEADRACE_DATABASE_URL": ""}, "HEADRACE_DATABASE_URL"),
        ({"HEADRACE_AUTH": "none", "HEADRACE_SUBTITLE_MAX_CHARS": "9"}, "HEADRACE_SUBTITLE_MAX_CHARS"),
        ({"HEADRACE_AUTH": "none", "HEADRACE_SUBTITLE_MAX_LINES": "0"}, "HEADRACE_SUBTITLE_MAX_LINES"),
        ({"HEADRACE_AUTH": "none", "HEADRACE_SUBTITLE_MAX_SECONDS": "61"}, "HEADRACE_SUBTITLE_MAX_SECONDS"),
    ],
)
def test_unsafe_settings_are_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(IngestSettings, URLS | environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_no_keys_are_needed_on_loopback(host: str) -> None:
    assert load_settings(IngestSettings, URLS | {"HEADRACE_AUTH": "none", "HEADRACE_HOST": host}).host == host
