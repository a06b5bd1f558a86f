"""The URLs of Postgres and Redis are parsed at start. Errors name the setting and hide the password."""

from pathlib import Path
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from processor_service.settings import ProcessorSettings
from shared.connections.postgres import connection_options, why_no_database
from shared.connections.redis_url import parse_redis_url
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
    ("url", "why"),
    [
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
