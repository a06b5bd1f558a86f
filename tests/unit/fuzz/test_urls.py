"""An accepted URL has a host and no credentials for every URL parser in use."""

import ipaddress
from urllib.parse import urlsplit

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.uploads.from_url import UrlRules, checked_url
from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import AllowPrivate, host_of, refusal, refusal_of_url
from shared.schemas.webhooks import WebhookUrl

SCHEMES = ("http", "https")
LEVELS: list[AllowPrivate] = ["false", "loopback", "true"]
WORDS = [
    "http://", "https://", "HTTP://", "ftp://", "//", "@", ":", "/", "\\", "?", "#", "%", "%40", ".", "[", "]",
    "::1", "127.0.0.1", "0x7f.1", "example.com", "größe.de", "user", "80", "65536", "-1", "٣", "\t", "\n", " ", "\0",
    "%00", "。", "",
]  # fmt: skip
URLS = st.builds(
    lambda scheme, words: scheme + "".join(words),
    st.sampled_from(["http://", "https://", ""]),
    st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=8),
)


@given(URLS)
@example("http://user@example.com/")
@example("http://example.com\\@127.0.0.1/")
def test_an_accepted_audio_url_has_no_credentials(text: str) -> None:
    try:
        url = checked_url(text, UrlRules(schemes=SCHEMES))
    except RefusedError as error:
        assert error.code == "invalid_option"  # noqa: PT017 - most are refused, some are valid
        return
    assert urlsplit(url).hostname
    assert_asked_for_safely(url)


@given(URLS)
@example("http://example.com\\@127.0.0.1/")
def test_an_accepted_webhook_url_has_no_credentials(text: str) -> None:
    try:
        url = msgspec.convert(text, WebhookUrl)
    except msgspec.ValidationError:
        return
    assert_asked_for_safely(url)


def assert_asked_for_safely(url: str) -> None:
    """Check how the processor reads an accepted URL: a refusal, or a plain target."""
    target = exact_url(url)
    if refusal_of_url(target, schemes=SCHEMES, ports=()) is None:
        assert target.scheme in SCHEMES
        assert target.raw_user is None
        assert target.raw_password is None
        assert host_of(target) == target.raw_host


@given(st.text(max_size=20) | st.lists(st.sampled_from([*"0123456789abcdef:.%x["]), max_size=20).map("".join))
def test_an_invalid_address_is_refused_at_every_level(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert {refusal(text, allow_private=level) for level in LEVELS} == {"an invalid address"}
