import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from processor_service.outbound.guard import NAT64, AllowPrivate, host_of, refusal, refusal_of_url

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001:81b::200e"]
PUBLIC_INSIDE = ["::ffff:8.8.8.8", "64:ff9b::808:808"]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
PRIVATE = [
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255"),
    *("fc00::1", "fd12:3456:789a::1", "::ffff:10.0.0.1", "::ffff:192.168.1.1", "64:ff9b::a00:1", "64:ff9b::c0a8:101"),
]
NEVER = {
    "an unspecified address": ["0.0.0.1", "0.1.2.3", "::", "::ffff:0.0.0.0", "64:ff9b::"],
    "a link-local address": [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%lo", "febf::1"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    ],
    "a metadata address": [
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
        *("::ffff:168.63.129.16", "64:ff9b::a83f:8110"),
    ],
    "a multicast address": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "::ffff:224.0.0.1"],
    "a reserved address": [
        *("192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7"),
        *("203.0.113.7", "240.0.0.1", "255.255.255.255", "100::1", "100:0:0:1::1", "2001:2::1", "2001:10::1"),
        *("2001:20::1", "2001:db8::1", "3fff::1", "5f00::1", "fec0::1", "feff::1", "4000::1", "8000::1", "e000::1"),
    ],
    "a transition address": [
        *("::7f00:1", "::8.8.8.8", "::ffff:0:7f00:1", "::ffff:0:808:808", "64:ff9b:1::7f00:1", "64:ff9b:1:abcd::1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "2002:a00:1::1"),
    ],
}
TEREDO = ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:4136:e378:8000:63bf:80ff:fffe"]
EVERY_LEVEL: list[AllowPrivate] = ["false", "loopback", "true"]


@pytest.mark.parametrize("allow_private", EVERY_LEVEL)
@pytest.mark.parametrize("address", [*PUBLIC, *PUBLIC_INSIDE])
def test_public_addresses_are_always_allowed(address: str, allow_private: AllowPrivate) -> None:
    assert refusal(address, allow_private=allow_private) is None


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_allowed_by_loopback_and_true(address: str) -> None:
    verdicts = [refusal(address, allow_private=level) for level in EVERY_LEVEL]

    assert verdicts == ["a loopback address", None, None]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_allowed_by_true_only(address: str) -> None:
    verdicts = [refusal(address, allow_private=level) for level in EVERY_LEVEL]

    assert verdicts == ["a private address", "a private address", None]


@pytest.mark.parametrize("allow_private", EVERY_LEVEL)
@pytest.mark.parametrize(("kind", "address"), [(kind, one) for kind, several in NEVER.items() for one in several])
def test_special_addresses_are_never_allowed(kind: str, address: str, allow_private: AllowPrivate) -> None:
    assert refusal(address, allow_private=allow_private) == kind


@pytest.mark.parametrize("allow_private", EVERY_LEVEL)
@pytest.mark.parametrize("address", TEREDO)
def test_teredo_is_never_allowed(address: str, allow_private: AllowPrivate) -> None:
    assert refusal(address, allow_private=allow_private) is not None


@pytest.mark.parametrize("text", ["", "localhost", "0x7f.1", "127.1", "2130706433", "0177.0.0.1", "1.2.3.4.5", "::g"])
def test_an_invalid_address_is_refused(text: str) -> None:
    assert refusal(text, allow_private="true") == "an invalid address"


@given(st.ip_addresses(v=4))
def test_an_embedded_ipv4_address_is_checked(inside: ipaddress.IPv4Address) -> None:
    mapped = f"::ffff:{inside}"
    translated = str(NAT64.network_address + int(inside))

    for level in EVERY_LEVEL:
        verdict = refusal(str(inside), allow_private=level)
        assert refusal(mapped, allow_private=level) == refusal(translated, allow_private=level) == verdict


@given(st.ip_addresses())
def test_each_level_allows_all_of_the_previous_one(address: ipaddress.IPv4Address) -> None:
    refused = [refusal(str(address), allow_private=level) is not None for level in EVERY_LEVEL]

    assert refused == sorted(refused, reverse=True)
    assert refused[0] or address.is_global


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/hook?token=1", None),
        ("http://example.com:8080/", None),
        ("https://[2606:4700::1111]/", None),
        ("https://größe.example/", None),
        ("", "it names no host"),
        ("/hook", "it names no host"),
        ("http://a b/", "it names no host"),
        ("http://a\x1bb/", "it names no host"),
        ("http://*/", "it names no host"),
        ("http://[fe80::1%25lo]/", "it names no host"),
        ("ftp://example.com/", "its scheme is not http or https"),
        ("ws://example.com/", "its scheme is not http or https"),
        ("http://user@example.com/", "it contains a user name or a password"),
        ("http://:pass@example.com/", "it contains a user name or a password"),
        ("http://example.com@127.0.0.1/", "it contains a user name or a password"),
    ],
)
def test_a_url_is_checked_before_its_name_is_resolved(url: str, why: str | None) -> None:
    assert refusal_of_url(URL(url), schemes=("http", "https"), ports=()) == why


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/", None),
        ("https://example.com:8443/", None),
        ("http://example.com/", "its scheme is not https"),
        ("https://example.com:22/", "its port is not 443 or 8443"),
    ],
)
def test_schemes_and_ports_are_those_of_the_settings(url: str, why: str | None) -> None:
    assert refusal_of_url(URL(url), schemes=("https",), ports=(8443, 443)) == why


def test_the_host_excludes_port_and_credentials() -> None:
    assert host_of(URL("https://user:pass@Example.com:8443/hook?token=1")) == "example.com"
