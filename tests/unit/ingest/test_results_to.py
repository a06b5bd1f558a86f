"""`results_to` and `results_formats`: what is accepted, what is stored, and what is written."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ingest_service.errors import RefusedError
from ingest_service.uploads.parse_options import OptionCollector
from shared.schemas.options import JobOptions, SubmitOptions, decode_submission, encode_submission
from shared.schemas.results_to import formats_of, targets_of, why_not_allowed

JOB = UUID("01990000-0000-7000-8000-000000000001")
SIGNED = "https://bucket.example/a.json?X-Amz-Signature=s3cret"

NO_TARGETS: tuple[Any, ...] = (
    *(1, None, [], {}, {"json": 1}, "", "out/acme", "https://a.example/", "s3://", "s3://out/../x/"),
    *("s3://out/%2e%2e/x/", "s3://out//x/", "s3://o\\ut/x/", "gs://out/x/", "file:///etc/", "[]", '{"a"', "{}"),
)


def read(**values: Any) -> SubmitOptions:
    collector = OptionCollector()
    collector.add_values(values)
    return collector.options()


def refusal(**values: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        read(**values)
    assert caught.value.code == "invalid_option"
    return caught.value.detail


def targets(options: SubmitOptions) -> list[tuple[str, str, str]]:
    assert options.results_to is not None
    found = targets_of(options.results_to.reveal(), formats_of(options.results_formats), JOB)
    return [(one.format, one.url.reveal(), one.shown) for one in found]


def test_a_folder_gets_an_object_for_each_format() -> None:
    options = read(results_to="s3://out/acme", results_formats="json,srt,textgrid,srt")
    assert targets(options) == [
        ("json", f"s3://out/acme/{JOB}.json", "s3://out"),
        ("srt", f"s3://out/acme/{JOB}.srt", "s3://out"),
        ("textgrid", f"s3://out/acme/{JOB}.TextGrid", "s3://out"),
    ]
    assert targets(read(results_to="s3://out/"))[0][1] == f"s3://out/{JOB}.json"


def test_presigned_urls_name_their_formats() -> None:
    options = read(results_to={"json": SIGNED, "vtt": "http://other.example:8080/x"})
    assert targets(options) == [
        ("json", SIGNED, "bucket.example"),
        ("vtt", "http://other.example:8080/x", "other.example"),
    ]
    assert options.job_options() == JobOptions(results_formats="json,vtt")


def test_a_form_carries_the_object_as_json() -> None:
    collector = OptionCollector()
    collector.add("results_to", json.dumps({"txt": SIGNED}))
    assert targets(collector.options()) == [("txt", SIGNED, "bucket.example")]


def test_stored_options_have_the_formats_and_no_target() -> None:
    options = read(results_to={"json": SIGNED}, language="en")
    assert options.job_options_json() == '{"language":"en","results_formats":"json"}'
    assert "s3cret" not in repr(options)
    assert decode_submission(encode_submission(options)) == options
    assert msgspec.json.decode(b'{"results_formats":"newer"}', type=JobOptions).results_formats == "newer"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *[(value, "must be a folder") for value in NO_TARGETS],
        ({"mp3": SIGNED}, "unknown format"),
        ({"json": "s3://out/x.json"}, "cannot be called"),
        ({"json": "https://user:pass@a.example/"}, "cannot be called"),
        ({"json": "ftp://a.example/"}, "cannot be called"),
        ({"json": "https://a.example/" + "x" * 4096}, "4096"),
    ],
)
def test_bad_targets_are_refused_by_name(value: Any, said: str) -> None:
    detail = refusal(results_to=value)
    assert detail.startswith("`results_to` ")
    assert said in detail
    assert "s3cret" not in detail


@pytest.mark.parametrize(
    "value", ["", "mp3", "json,", "json, srt", "JSON", "json;srt", ",".join(["json"] * 17), 1, None]
)
def test_bad_formats_are_refused_by_name(value: Any) -> None:
    if value is None:
        return
    assert refusal(results_to="s3://out/", results_formats=value).startswith("`results_formats` must be a list")


def test_options_that_contradict_are_refused() -> None:
    assert refusal(results_formats="json") == "`results_formats` needs `results_to`."
    assert refusal(results_to={"json": SIGNED}, results_formats="srt").startswith("`results_formats` must name")
    assert read(results_to={"json": SIGNED}, results_formats="json").results_formats == "json"


@pytest.mark.parametrize(
    ("to", "tenant", "is_allowed"),
    [
        ("s3://out/acme/", "acme", True),
        ("s3://out/acme/2026", "acme", True),
        ("s3://out/acme", "acme", True),
        ("s3://out/globex/", "acme", False),
        ("s3://out/acme2/", "acme", False),
        ("s3://out/", "acme", False),
        ("s3://other/acme/", "acme", False),
        ("{}", "acme", True),
    ],
)
def test_a_tenant_writes_to_its_folders_alone(to: str, tenant: str, is_allowed: bool) -> None:  # noqa: FBT001 - a row
    problem = why_not_allowed(to, ["out/{tenant}"], tenant)
    assert (problem is None) == is_allowed
    assert problem is None or problem == "must be in s3://out/acme/"


def test_without_buckets_only_urls_are_written() -> None:
    assert "writes to no bucket" in (why_not_allowed("s3://out/acme/", (), "acme") or "")
