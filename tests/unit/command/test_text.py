"""What the command prints and reads: tables, outcomes, events, tsv, addresses."""

import datetime as dt
from pathlib import Path

import pytest

from deploy.command.api import checked_url, is_loopback, shown_url
from deploy.command.errors import SourceError, UsageError
from deploy.command.follow import parse_line
from deploy.command.report import Outcome, describe
from deploy.command.submit import metadata, read_part
from deploy.command.tables import table
from deploy.command.tsv import render_tsv
from shared.schemas.api import ProblemInJob
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Segment, Transcript


def test_columns_are_aligned_and_nothing_is_cut() -> None:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    lines = table(("JOB", "SIZE"), [("a" * 300, 1.25), ("b", None), ("c\x1b", ["x", "y"])]).splitlines()

    assert [line.split() for line in lines[1:3]] == [["a" * 300, "1.2"], ["b", "-"]]
    assert {line.index(cell) for line, cell in zip(lines, ("SIZE", "1.2", "-", "x,y"), strict=True)} == {302}
    assert "\x1b" not in "".join(lines)
    assert str(at.astimezone().year) in table(("A",), [(at,)])


def test_an_outcome_is_one_line() -> None:
    error = ProblemInJob(code="undecodable_audio", message="No decoder can read it.")

    assert describe(Outcome(source="a.wav", status="done", outputs=("a.srt", "a.txt"))) == "a.wav -> a.srt, a.txt"
    assert describe(Outcome(source="a.wav", status="done", warnings=("no_speech",))) == "a.wav (no_speech)"
    assert "undecodable_audio" in describe(Outcome(source="a.wav", status="failed", error=error))
    assert "up to date" in describe(Outcome(source="a.wav", status="skipped", outputs=("a.srt",)))


def test_events_are_data_lines() -> None:
    event = '{"job_id":"1","status":"PROCESSING","stage":"transcribe","progress":0.5,"chunks_done":0,"chunk_count":0}'

    found = parse_line(f"data: {event}")

    assert found is not None
    assert (found.status, found.progress) == ("PROCESSING", 0.5)
    assert [parse_line(line) for line in ("", ": comment", "id: 1", "data: <html>", "data: {}")] == [None] * 5


def test_tsv_has_milliseconds_and_one_line_a_segment() -> None:
    segments = (
        Segment(id=0, start=0.0, end=1.2345, text=" Two\nlines\tand a tab ", confidence=1, no_speech_prob=0),
        Segment(id=1, start=3661.5, end=3662.0, text="  ", confidence=1, no_speech_prob=0),
    )
    transcript = Transcript(text="", language="en", duration=2, segments=segments)

    assert render_tsv(transcript) == b"start\tend\ttext\n0\t1234\tTwo lines and a tab\n"


def test_tus_metadata_carry_any_file_name() -> None:
    pairs = dict(pair.split(" ") for pair in metadata("tälk\udcff.wav", JobOptions(language="de")).split(","))

    assert set(pairs) == {"filename", "options"}
    assert all(value.isascii() for value in pairs.values())


async def test_a_part_of_a_file_is_read_in_pieces_and_a_shorter_file_is_an_error(tmp_path: Path) -> None:
    path, sent = tmp_path / "a.wav", list[int]()
    path.write_bytes(bytes(range(256)) * 4000)

    part = b"".join([piece async for piece in read_part(path, 1000, 600_000, sent.append)])

    assert part == path.read_bytes()[1000:601_000]
    assert sent[-1] == 601_000
    assert len(sent) > 1
    with pytest.raises(SourceError, match="shorter"):
        async for _ in read_part(path, 1_000_000, 100_000, sent.append):
            pass


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://a.example", "http://a.example"),
        (" https://a.example:8443/ ", "https://a.example:8443"),
        ("https://a.example/headrace/v1/", "https://a.example/headrace"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_an_address_may_end_as_other_clients_want_it(text: str, url: str) -> None:
    assert checked_url(text) == url


@pytest.mark.parametrize("text", ["a.example", "ftp://a.example", "http://", "http://a.example:x", "http://[::1", "-"])
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="http"):
        checked_url(text)


def test_credentials_of_an_address_are_not_shown() -> None:
    assert shown_url("http://user:word@a.example/x?key=1#y") == "http://a.example/x"


@pytest.mark.parametrize(("host", "expected"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("a", False)])
def test_no_proxy_stands_before_this_machine(host: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_loopback(host) is expected
