"""Which URLs can be called, and how the processor requests them: as they are written."""

import pytest
from yarl import URL

from ingest_service.errors import RefusedError
from ingest_service.uploads.from_url import UrlRules, checked_url
from ingest_service.uploads.parse_options import OptionCollector
from processor_service.outbound.exact_url import exact_url
from processor_service.outbound.guard import host_of, refusal_of_url
from shared.schemas.called_urls import why_never_called

CALLABLE = [
    "http://example.com",
    "HTTP://EXAMPLE.COM/hook",
    "HttpS://example.com:8443/x?y=%7E",
    "https://example.com:65535/",
    "https://example.com:1",
    "https://example.com:/",
    "https://example.com./",
    "https://127.0.0.1/",
    "https://[2606:4700::1111]:8443/x",
    "https://[::ffff:1.2.3.4]/",
    "https://größe.example/ä?ö#ü",
    "https://münchen.example:8443/%7E",
    "https://xn--mnchen-3ya.example/",
    "https://my_service.internal/",
    "https://1password.com/",
    "https://3com/",
    "https://" + ".".join(["a" * 63] * 3) + ".example/",
]
NEVER = [
    "",
    "example.com",
    "ftp://example.com/",
    "https://",
    "https:///x",
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://example.com\\@evil.example/",
    "http://example.com:0/",
    "http://example.com:00000/",
    "http://example.com:65536/",
    "http://example.com:99999999999999999999/",
    "http://example.com:x/",
    "http://example.com:-1/",
    "http://example.com:+80/",
    "http://example.com:٣/",
    "http://2130706433/",
    "http://0/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.1/",
    "http://127.0.1/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://127.0.0.01/",
    "http://127.0.0.1./",
    "http://example.0x10/",
    "http://example.7/",
    "http://\uff11\uff12\uff17.\uff11/",
    "http://a..b/",
    "http://.example.com/",
    "http://example.com../",
    "http://./",
    "http://*.example.com/",
    "http://exa%6Dple.com/",
    "http://exa mple.com/",
    "http://-ä..example/",
    "http://" + "a" * 64 + ".example/",
    "http://" + ".".join(["a" * 50] * 6) + "/",
    "http://" + "ä" * 300 + ".example/",
    "http://[::1/",
    "http://::1/",
    "http://[1.2.3.4]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[v1.fe80::a]/",
    "http://[]/",
]


def taken(name: str, url: str) -> bool:
    """Return whether a submission with the URL is accepted. A refusal names the option."""
    try:
        if name == "audio_url":
            checked_url(url, UrlRules(schemes=("http", "https")))
        else:
            OptionCollector().add(name, url)
    except RefusedError as error:
        assert (error.code, f"`{name}`" in error.detail) == ("invalid_option", True)  # noqa: PT017 - some are accepted
        return False
    return True


@pytest.mark.parametrize("url", CALLABLE)
def test_what_can_be_called_is_accepted_and_not_refused_later(url: str) -> None:
    assert why_never_called(url) is None
    assert taken("webhook_url", url)
    assert taken("audio_url", url)
    target = exact_url(url)
    assert refusal_of_url(target, schemes=("http", "https"), ports=()) is None
    assert host_of(target) == host_of(target).lower()  # type: ignore[union-attr] # a host, as it is not refused


@pytest.mark.parametrize("url", NEVER)
def test_what_can_never_be_called_is_refused(url: str) -> None:
    assert why_never_called(url)
    assert not taken("webhook_url", url)
    assert not taken("audio_url", url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com:0/", "must have a port from 1 to 65535, or none"),
        ("http://2130706433/", "must name a host: a domain name, an IPv4 address of four decimal numbers"),
        ("ftp://example.com/", "must be an http or https URL"),
    ],
)
def test_the_refusal_says_what_is_allowed(url: str, said: str) -> None:
    assert (why_never_called(url) or "").startswith(said)


@pytest.mark.parametrize(
    ("path_and_query", "requested"),
    [
        ("/%7E%40%2F%zz", "/%7E%40%2F%zz"),
        ("/~@/%c3%A4", "/~@/%c3%A4"),
        ("/a/../b/./c//d/", "/a/../b/./c//d/"),
        ("//x", "//x"),
        ("/a;b=(c)'!*,$&+=:@", "/a;b=(c)'!*,$&+=:@"),
        ('/{id}|"<>^`\\[]', '/{id}|"<>^`\\[]'),
        ("/x?a=%2B&b=+&c=%7e&&=&d=/?:@", "/x?a=%2B&b=+&c=%7e&&=&d=/?:@"),
        ("/ä b?ö", "/%C3%A4%20b?%C3%B6"),
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/x#fragment", "/x"),
    ],
)
@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("http://example.com", "example.com"),
        ("HTTP://Example.COM:8080", "example.com"),
        ("https://größe.example:8443", "xn--gre-6ka8i.example"),
        ("https://[2606:4700:0:0::1111]", "2606:4700::1111"),
    ],
)
def test_a_url_is_requested_as_it_is_written(written: str, host: str, path_and_query: str, requested: str) -> None:
    url = exact_url(written + path_and_query)

    assert (url.raw_path_qs, url.raw_host) == (requested, host)
    assert url.scheme == written.partition(":")[0].lower()


@pytest.mark.parametrize("url", ["", "x", "http://", "http://a b/", "http://[::1/", "http://a:x/", "http://127.1/"])
def test_an_invalid_url_is_refused_by_the_guard(url: str) -> None:
    assert refusal_of_url(exact_url(url), schemes=("http", "https"), ports=()) == "it names no host"


def test_credentials_are_refused_by_their_own_reason() -> None:
    target = exact_url("http://user:pass@example.com/")
    assert refusal_of_url(target, schemes=("http",), ports=()) == "it contains a user name or a password"
    assert exact_url("http://example.com/@x") == URL("http://example.com/@x")
