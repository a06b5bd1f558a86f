"""`s3://` URLs of clients: which objects and folders a tenant may name."""

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.schemas.bucket_urls import (
    bucket_of,
    is_allowed,
    is_safe_key,
    parse_bucket_url,
    parse_folder_url,
    shown_folders,
)

FOLDERS = ("audio/{tenant}", "shared-audio")


def allows(url: str, tenant: str = "acme") -> bool:
    found = parse_bucket_url(url)
    return found is not None and is_allowed(found, FOLDERS, tenant)


@pytest.mark.parametrize(
    "url",
    [
        "s3://audio/acme/talk.mp3",
        "s3://audio/acme/2026/größe 1.mp3",
        "s3://audio/acme/a%20b?x#y.wav",
        "s3://audio/acme/..talk..mp3",
        "s3://shared-audio/talk.mp3",
    ],
)
def test_objects_of_the_tenants_folders_are_allowed(url: str) -> None:
    assert allows(url)


@pytest.mark.parametrize(
    "url",
    [
        *("s3://audio/globex/talk.mp3", "s3://audio/acme2/talk.mp3", "s3://audio/acm/talk.mp3", "s3://audio/talk.mp3"),
        *("s3://audio/acme", "s3://audio/acme/", "s3://audio/", "s3://audio", "s3://", "s3:///acme/talk.mp3"),
        *("s3://audio2/acme/talk.mp3", "s3://audio.evil/acme/talk.mp3", "s3://Audio/acme/talk.mp3"),
        *("s3://../acme/talk.mp3", "s3://audio/../acme/talk.mp3", "s3://audio/acme/../globex/talk.mp3"),
        *("s3://audio/acme/./talk.mp3", "s3://audio/acme//talk.mp3", "s3://audio//acme/talk.mp3"),
        *("s3://audio/acme/%2e%2e/globex/talk.mp3", "s3://audio/acme/%2E./globex/talk.mp3"),
        *("s3://audio/acme/..%2fglobex/talk.mp3", "s3://audio/acme/%252e%252e%252fglobex/talk.mp3"),
        *("s3://audio/acme/..\\globex\\talk.mp3", "s3://audio/acme/%5c..%5cglobex", "s3://audio/acme/a\x00b"),
        *("s3://audio/acme/a\nb", "s3://audio/acme/a%0d%0ab", "s3://audio/acme/" + "x" * 1020),
        *("s3://key:secret@audio/acme/talk.mp3", "s3://audio:9000/acme/talk.mp3", "S3://audio/acme/talk.mp3"),
        *("gs://audio/acme/talk.mp3", "file:///audio/acme/talk.mp3", "audio/acme/talk.mp3"),
    ],
)
def test_other_objects_are_refused(url: str) -> None:
    assert not allows(url)


def test_a_key_that_was_encoded_too_often_is_refused() -> None:
    assert not is_safe_key("%" + "25" * 20 + "2e")


@given(st.text(alphabet="ab./%2eEfF5cC\\", max_size=40))
@example("%2e%2e/b")
@example("%25%32%65%25%32%65/b")
def test_no_allowed_key_leaves_its_folder_when_it_is_decoded(key: str) -> None:
    """Whatever decodes a key, and however often, finds no part that leads up."""
    if not allows(f"s3://audio/acme/{key}"):
        return
    for _ in range(20):
        assert not {"", ".", ".."} & set(key.split("/"))
        assert "\\" not in key
        key = unquote(key)


def test_folders_end_with_a_slash() -> None:
    assert parse_folder_url("s3://out/acme") == parse_folder_url("s3://out/acme/") == ("out", "acme/")
    assert parse_folder_url("s3://out") == ("out", "")
    for url in ("s3://out//", "s3://out/a//b/", "s3://out/../", "s3://out/%2e%2e/", "https://out/acme/", "s3://"):
        assert parse_folder_url(url) is None


def test_refusals_show_the_tenants_folders_alone() -> None:
    assert shown_folders(FOLDERS, "acme") == "s3://audio/acme/, s3://shared-audio/"


def test_the_bucket_of_a_storage_url() -> None:
    assert [bucket_of(url) for url in ("s3://headrace/x", "s3://headrace", "file:///data")] == [
        "headrace",
        "headrace",
        "",
    ]
