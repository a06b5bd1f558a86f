"""The URLs of Postgres and Redis are parsed at start. Errors name the setting and hide the password."""

from pathlib import Path
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from processor_service.settings import ProcessorSettings
from shared.connections.postgres import connection_options, why_no_database
from shared.connections.primary import urls_of_hosts
from shared.connections.redis_url import parse_redis_url, parse_redis_urls
from shared.settings import CommonSettings, SettingsError, load_settings

DATABASE = "postgresql://user:secret@localhost/headrace"
REDIS = "redis://:secret@localhost"
TLS = {"ssl": True, "ssl_check_hostname": True}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://:secret@localhost/1", {}),
        ("unix:///run/valkey.sock", {}),
        ("rediss://localhost", {"ssl_check_hostname": True}),
        ("rediss://localhost?ssl_cert_reqs=none", {"ssl_check_hostname": False}),
        ("rediss://localhost?ssl_check_hostname=false", {}),  # redis-py parses it
    ],
)
def test_a_url_of_one_server_is_passed_to_redis_py_and_host_names_are_checked(
    url: str, options: dict[str, Any]
) -> None:
    address = parse_redis_url(url)
    assert (address.url, address.sentinels, address.options) == (url, (), options)


def test_a_sentinel_url_lists_sentinels_then_the_master_name() -> None:
    address = parse_redis_url(
        "redis+sentinel://us%40er:p%2Fw:x@one,two:1234,[::1]:5/my-master/3?sentinel_password=q%26&sentinel_username=s"
    )
    assert address.sentinels == (("one", 26379), ("two", 1234), ("::1", 5))
    assert (address.master, address.options) == ("my-master", {"db": 3, "username": "us@er", "password": "p/w:x"})
    assert address.sentinel_options == {"username": "s", "password": "q&"}


def test_tls_applies_to_the_sentinels_too(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    address = parse_redis_url(f"rediss+sentinel://one/m?ssl_ca_certs={ca}")
    assert address.options == {"db": 0, **TLS, "ssl_ca_certs": str(ca)}
    assert address.sentinel_options == {**TLS, "ssl_ca_certs": str(ca)}
    for query, checked in (("ssl_check_hostname=false", False), ("ssl_cert_reqs=none", False), ("", True)):
        assert parse_redis_url(f"rediss+sentinel://one/m?{query}").options["ssl_check_hostname"] is checked


@pytest.mark.parametrize(
    ("url", "name", "bare"),
    [
        ("redis://:secret@localhost", "localhost:6379/0", ""),
        ("redis://one:7000/2", "one:7000/2", ""),
        ("redis://one/?db=3", "one:6379/3", ""),
        ("rediss://one?name=blue&ssl_cert_reqs=none", "blue", "rediss://one?ssl_cert_reqs=none"),
        ("redis://:se%2Ccret@one/1?name=blue", "blue", "redis://:se%2Ccret@one/1"),
        ("unix:///run/valkey.sock?db=1", "/run/valkey.sock/1", ""),
        ("redis+sentinel://one,two/my-master/3", "my-master/3", None),
        ("redis+sentinel://one,two/my-master/3?name=blue", "blue", None),
    ],
)
def test_each_redis_has_a_name_that_redis_py_does_not_see(url: str, name: str, bare: str | None) -> None:
    address = parse_redis_url(url)
    assert address.name == name
    assert address.url == ("" if bare is None else bare or url)


@pytest.mark.parametrize("separator", [",", " ", "\n", ", ", " \n\t"])
def test_several_urls_are_separated_by_commas_or_white_space(separator: str) -> None:
    urls = [
        "redis://:p%2Cw@one",
        "redis+sentinel://a,b:1/m?sentinel_password=x",
        "unix:///run/v.sock",
        "rediss://two/1",
    ]
    names = [address.name for address in parse_redis_urls(separator.join(urls))]
    assert names == ["one:6379/0", "m/0", "/run/v.sock/0", "two:6379/1"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:secret@one redis://:secret@one:6379/0", "two URLs have the name one:6379/0"),
        ("redis://:secret@one?name=a,redis://:secret@two?name=a", "two URLs have the name a"),
        ("redis://:secret@one,http://:secret@two", "scheme must be one of"),
        ("redis://:secret@one:many", "invalid port"),
        ("http://:secret@localhost", "scheme"),
        ("redis+sentinel://:secret@one:26379", "master is missing"),
        ("redis+sentinel://:secret@one:26379/m/first", "must be a number"),
        ("redis+sentinel://:secret@/m", "Sentinel is missing"),
        ("redis+sentinel://:secret@one,/m", "Sentinel is missing"),
        ("redis+sentinel://:secret@one/m?sentinel_pasword=secret", "sentinel_pasword"),
        ("rediss://:secret@localhost?ssl_ca_certs=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("redis+sentinel://:secret@one:many/m", "invalid port"),
        ("redis+sentinel://:secret/too@one/m", "must be a number"),
        ("redis://:secret\u2100@one", "not a URL"),
    ],
)
@pytest.mark.parametrize("settings", [IngestSettings, ProcessorSettings])
def test_an_invalid_redis_url_is_rejected_at_start(url: str, why: str, settings: type[CommonSettings]) -> None:
    environ = {"HEADRACE_DATABASE_URL": DATABASE, "HEADRACE_REDIS_URL": url, "HEADRACE_STORAGE_URL": "file:///blobs"}
    with pytest.raises(SettingsError, match=f"HEADRACE_REDIS_URL is invalid: .*{why}") as raised:
        load_settings(settings, environ)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://user:secret@localhost/headrace", "postgresql://"),
        ("postgresql://user:secret\u2100@localhost/headrace", "not a URL"),
        (f"{DATABASE}?sslmode=verify", "sslmode must be one of"),
        (f"{DATABASE}?sslmode=verify-full", "needs sslrootcert"),
        (f"{DATABASE}?sslmode=verify-full&sslrootcert=system", "file not found: sslrootcert=system"),
    ],
)
@pytest.mark.parametrize("name", ["HEADRACE_DATABASE_URL", "HEADRACE_DATABASE_DIRECT_URL"])
def test_an_invalid_database_url_is_rejected_at_start(name: str, url: str, why: str) -> None:
    environ = {"HEADRACE_DATABASE_URL": DATABASE, "HEADRACE_REDIS_URL": REDIS, "HEADRACE_STORAGE_URL": "file:///blobs"}
    with pytest.raises(SettingsError, match=f"{name} is invalid: .*{why}") as raised:
        load_settings(IngestSettings, {**environ, name: url})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", DATABASE, f"{DATABASE}?sslmode=require", "postgres:///headrace?host=/run/postgresql"]
)
def test_common_database_urls_are_accepted(url: str) -> None:
    assert why_no_database("HEADRACE_DATABASE_URL", url) == ""


def test_the_statement_cache_is_off_behind_a_transaction_pooler() -> None:
    sizes = {
        pooler: connection_options(pooler)["statement_cache_size"] for pooler in ("none", "session", "transaction")
    }
    assert sizes == {"none": 100, "session": 100, "transaction": 0}
    assert connection_options("transaction-prepared")["statement_cache_size"] == 100


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("postgresql://u:p@one:5433/d?sslmode=require", ["postgresql://u:p@one:5433/d?sslmode=require"]),
        (
            "postgresql://u:p@one,two:5433/d",
            [f"postgresql://u:p@{host}/d?target_session_attrs=read-write" for host in ("one", "two:5433")],
        ),
        (
            "postgresql://[::1]:5432,[::2]/d?sslmode=require",
            [
                f"postgresql://{host}/d?sslmode=require&target_session_attrs=read-write"
                for host in ("[::1]:5432", "[::2]")
            ],
        ),
        (
            "postgresql://one,two/d?target_session_attrs=standby",
            [f"postgresql://{host}/d?target_session_attrs=standby" for host in ("one", "two")],
        ),
        ("postgresql:///d?host=/run/postgresql", ["postgresql:///d?host=/run/postgresql"]),
    ],
)
def test_each_host_has_a_url(url: str, urls: list[str]) -> None:
    assert urls_of_hosts(url) == urls
