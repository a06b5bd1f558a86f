"""What the URLs of Postgres and Redis say, and what is wrong with them is told at start, without their passwords."""

from pathlib import Path
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from processor_service.settings import ProcessorSettings
from shared.connections.postgres import connection_options, why_no_database
from shared.connections.redis import place_of
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
        ("rediss://localhost?ssl_check_hostname=false", {}),  # redis-py reads it
    ],
)
def test_of_one_server_redis_py_reads_the_url_but_names_are_checked(url: str, options: dict[str, Any]) -> None:
    place = place_of(url)
    assert (place.url, place.sentinels, place.options) == (url, (), options)


def test_sentinels_are_listed_before_the_name_of_the_master() -> None:
    place = place_of(
        "redis+sentinel://us%40er:p%2Fw:x@one,two:1234,[::1]:5/my-master/3?sentinel_password=q%26&sentinel_username=s"
    )
    assert place.sentinels == (("one", 26379), ("two", 1234), ("::1", 5))
    assert (place.master, place.options) == ("my-master", {"db": 3, "username": "us@er", "password": "p/w:x"})
    assert place.sentinel_options == {"username": "s", "password": "q&"}


def test_tls_is_for_the_sentinels_too(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    place = place_of(f"rediss+sentinel://one/m?ssl_ca_certs={ca}")
    assert place.options == {"db": 0, **TLS, "ssl_ca_certs": str(ca)}
    assert place.sentinel_options == {**TLS, "ssl_ca_certs": str(ca)}
    for said, checked in (("ssl_check_hostname=false", False), ("ssl_cert_reqs=none", False), ("", True)):
        assert place_of(f"rediss+sentinel://one/m?{said}").options["ssl_check_hostname"] is checked


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://:secret@localhost", "scheme"),
        ("redis+sentinel://:secret@one:26379", "names the master"),
        ("redis+sentinel://:secret@one:26379/m/first", "is a number"),
        ("redis+sentinel://:secret@/m", "is missing"),
        ("redis+sentinel://:secret@one,/m", "is missing"),
        ("redis+sentinel://:secret@one/m?sentinel_pasword=secret", "sentinel_pasword"),
        ("rediss://:secret@localhost?ssl_ca_certs=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("redis+sentinel://:secret@one:many/m", "port"),
        ("redis+sentinel://:secret/too@one/m", "is a number"),
        ("redis://:secret\u2100@one", "no URL"),
    ],
)
@pytest.mark.parametrize("settings", [IngestSettings, ProcessorSettings])
def test_a_redis_that_cannot_be_is_refused_at_start(url: str, why: str, settings: type[CommonSettings]) -> None:
    environ = {"HEADRACE_DATABASE_URL": DATABASE, "HEADRACE_REDIS_URL": url, "HEADRACE_STORAGE_URL": "file:///blobs"}
    with pytest.raises(SettingsError, match=f"HEADRACE_REDIS_URL is invalid: .*{why}") as raised:
        load_settings(settings, environ)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://user:secret@localhost/headrace", "postgresql://"),
        ("postgresql://user:secret\u2100@localhost/headrace", "no URL"),
        (f"{DATABASE}?sslmode=verify", "sslmode must be one of"),
        (f"{DATABASE}?sslmode=verify-full", "needs sslrootcert"),
        (f"{DATABASE}?sslmode=verify-full&sslrootcert=system", "there is no file sslrootcert=system"),
    ],
)
@pytest.mark.parametrize("name", ["HEADRACE_DATABASE_URL", "HEADRACE_DATABASE_DIRECT_URL"])
def test_a_database_that_cannot_be_is_refused_at_start(name: str, url: str, why: str) -> None:
    ways = {"HEADRACE_DATABASE_URL": DATABASE, "HEADRACE_REDIS_URL": REDIS, "HEADRACE_STORAGE_URL": "file:///blobs"}
    with pytest.raises(SettingsError, match=f"{name} is invalid: .*{why}") as raised:
        load_settings(IngestSettings, {**ways, name: url})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", DATABASE, f"{DATABASE}?sslmode=require", "postgres:///headrace?host=/run/postgresql"]
)
def test_usual_databases_are_taken(url: str) -> None:
    assert why_no_database("HEADRACE_DATABASE_URL", url) == ""


def test_nothing_is_prepared_by_name_where_names_get_mixed_up() -> None:
    kept = {pooler: connection_options(pooler)["statement_cache_size"] for pooler in ("none", "session", "transaction")}
    assert kept == {"none": 100, "session": 100, "transaction": 0}
    assert connection_options("transaction-prepared")["statement_cache_size"] == 100
