"""Which requests a service without keys refuses, by `Host`, `Origin`, `Referer` and `Sec-Fetch-Site`."""

import pytest

from ingest_service.middleware.keyless_guard import refusal

HOSTS, ORIGINS = frozenset({"asr.example"}), frozenset({b"https://app.example", b"null-like://x"})


def refused(method: str, **headers: str) -> str | None:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return refusal(method, sent, HOSTS, ORIGINS)


LOOPBACK = "127.0.0.1 127.0.0.1:8000 127.9.9.9:1 localhost LocalHost:8000 localhost. [::1] [::1]:8000"
CONFIGURED = "asr.example ASR.example:443 asr.example."


@pytest.mark.parametrize("host", f"{LOOPBACK} {CONFIGURED}".split())
def test_loopback_and_configured_hosts_are_allowed(host: str) -> None:
    assert refused("GET", host=host) is None
    assert refused("POST", host=host) is None


NAMES = "evil.example evil.example:8000 127.0.0.1.evil.example localhost.evil.example sub.asr.example asr.example.evil"
ADDRESSES = "0.0.0.0:8000 10.0.0.1 169.254.169.254 [::] [::1 x:y 127.0.0.1:99999"
TRICKS = (
    "",
    "127.0.0.1@evil.example",
    "evil.example/127.0.0.1",
    "evil.example, 127.0.0.1",
    "127.0.0.1\\@evil.example",
    "127.0.0.1#evil",
    "127.0.0.1" + " " * 400 + "evil.example",
)


@pytest.mark.parametrize("host", [*NAMES.split(), *ADDRESSES.split(), *TRICKS])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE"])
def test_other_hosts_are_refused(host: str, method: str) -> None:
    assert refused(method, host=host) == "host_not_allowed"


def test_a_missing_or_second_host_is_refused() -> None:
    assert refusal("GET", [], HOSTS, ORIGINS) == "host_not_allowed"
    two = [(b"host", b"127.0.0.1"), (b"host", b"evil.example")]
    assert refusal("GET", two, HOSTS, ORIGINS) == "host_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # curl, httpx, a webhook
        {"sec_fetch_mode": "cors"},  # fetch of Node.js
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:8000", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": "https://app.example", "sec_fetch_site": "cross-site"},
        {"referer": "http://127.0.0.1:8000/page?x=1"},
    ],
)
def test_own_and_configured_pages_and_other_clients_may_change_state(headers: dict[str, str]) -> None:
    assert refused("POST", host="127.0.0.1:8000", **headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:3000"},  # another service of this machine
        {"origin": "http://127.0.0.1"},
        {"origin": "http://localhost:8000"},
        {"origin": "http://127.0.0.1:8000.evil.example"},
        {"origin": "http://127.0.0.1:8000@evil.example"},
        {"origin": "file://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:8000", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},  # ports of one host are one site
        {"sec_fetch_site": ""},
        {"referer": "https://evil.example/127.0.0.1:8000"},
        {"referer": "https://evil.example?http://127.0.0.1:8000"},
        {"origin": "https://evil.example", "referer": "http://127.0.0.1:8000/"},
        {"origin": "https://app.example.evil.example"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "NONSENSE"])
def test_other_pages_may_not_change_state(headers: dict[str, str], method: str) -> None:
    assert refused(method, host="127.0.0.1:8000", **headers) == "origin_not_allowed"
    assert refused("GET", host="127.0.0.1:8000", **headers) is None
    overridden = refused("GET", host="127.0.0.1:8000", x_http_method_override=method, **headers)
    assert overridden == "origin_not_allowed"


def test_a_proxy_that_speaks_tls_serves_its_own_pages() -> None:
    assert refused("POST", host="asr.example", origin="https://asr.example") is None
    assert refused("POST", host="asr.example:443", origin="https://asr.example") is None
    assert refused("POST", host="asr.example", origin="https://asr.example:444") == "origin_not_allowed"
