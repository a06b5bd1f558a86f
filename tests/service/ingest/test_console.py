"""The console: its page at the paths of pages, its files by their hash, within a strict policy, without a key."""

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ingest_service import app
from ingest_service.console_files import read_console
from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import guarded
from tests.support.ingest.raw_http import exchange, head
from tests.support.ingest.serving import Ingest, serving

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
}
JOB = "0198f3a2-7c5e-7d31-9a44-5b6c7d8e9f00"  # ids of tests must not change
PATHS = ["/", "/jobs", f"/jobs/{JOB}", "/queue", "/dead-letters", "/webhooks", "/keys", "/licences", "/sign-in"]
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


async def answer_of(
    ingest: Ingest, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, Mapping[str, str], str]:
    async with ingest.client.request(method, ingest.url + path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


def url_of(name: str) -> str:
    return f"/console/{read_console().hash}/{name}"


@pytest.mark.parametrize("path", PATHS)
async def test_each_path_shows_the_page_without_a_key(settings: IngestSettings, path: str) -> None:
    async with guarded(settings) as ingest:
        status, headers, page = await answer_of(ingest, path)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert set(headers["Content-Security-Policy"].split("; ")) == POLICY
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-cache"
        assert not re.search(r"https?:|<script>|<style|style=| on\w+=", page)
        assert (await answer_of(ingest, path, method="HEAD"))[::2] == (200, "")


async def test_the_page_names_only_files_that_are_kept_for_ever(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:
        _, _, page = await answer_of(ingest, "/")
        named = re.findall(r'(?:src|href)="([^"#]*)"', page)
        assert named
        for path in [one for one in named if one != "/schema"]:
            status, headers, _ = await answer_of(ingest, path)
            assert status == 200, path
            assert path.startswith(url_of(""))
            assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert headers["Content-Type"].partition(";")[0] == TYPES[Path(path).suffix], path


async def test_files_are_compressed_for_those_that_take_it(ingest: Ingest) -> None:
    path, plain = url_of("main.js"), read_console().files["main.js"].plain
    tags = set()
    for accepted, coding in [
        ("identity", None),
        ("br, gzip;q=0.8", "gzip"),
        ("gzip;q=0", None),
        ("*", "gzip"),
        ("", None),
    ]:
        line = head(f"Accept-Encoding: {accepted}", "Connection: close", line=f"GET {path} HTTP/1.1").replace(
            b"Host: x", f"Host: {ingest.address[0]}".encode()
        )
        answer, _, body = (await exchange(ingest, line)).partition(b"\r\n\r\n")
        sent = dict(one.split(": ", 1) for one in answer.decode().splitlines()[1:])
        assert sent.get("content-encoding") == coding, accepted
        assert (gzip.decompress(body) if coding else body) == plain
        assert int(sent["content-length"]) == len(body)
        assert sent["vary"] == "Accept-Encoding"
        tags.add((coding, sent["etag"]))
    assert len(tags) == len({etag for _, etag in tags}) == 2


@pytest.mark.parametrize("path", ["/", "main.js"])
async def test_what_the_browser_has_is_not_sent_again(ingest: Ingest, path: str) -> None:
    path = path if path == "/" else url_of(path)
    _, first, _ = await answer_of(ingest, path)
    status, headers, body = await answer_of(ingest, path, {"If-None-Match": first["ETag"]})
    assert (status, body) == (304, "")
    assert headers["Cache-Control"] == first["Cache-Control"]
    assert headers["ETag"] == first["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/console/0123456789abcdef0123/main.js",
        "/console/{hash}/no.js",
        "/console/{hash}/",
        "/console/{hash}",
        "/console",
        "/console/{hash}/../console_files.py",
        "/console/{hash}/..%2fconsole_files.py",
        "/console/{hash}/%2e%2e/console_files.py",
        "/console/{hash}/modules/../../console_files.py",
        "/console/{hash}//etc/passwd",
        "/console/{hash}/..%5csettings.py",
        "/console/{hash}/modules/swagger-ui-dist/swagger-ui-bundle.js",
        "/jobs/a/b",
    ],
)
async def test_no_other_file_is_served(ingest: Ingest, path: str) -> None:
    line = f"GET {path.format(hash=read_console().hash)} HTTP/1.1"
    request = head("Connection: close", line=line).replace(b"Host: x", f"Host: {ingest.address[0]}".encode())
    answer = await exchange(ingest, request)
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert b'"code":"not_found"' in answer


async def test_without_keys_other_hosts_get_no_page(ingest: Ingest) -> None:
    for path in ("/", url_of("main.js")):
        assert (await answer_of(ingest, path, {"Host": "evil.example"}))[0] == 421


async def test_the_setting_takes_the_console_away(settings: IngestSettings) -> None:
    async with serving(settings, console=False) as ingest:
        for path in [*PATHS, url_of("main.js")]:
            status, headers, body = await answer_of(ingest, path)
            assert (status, headers["Content-Type"]) == (404, "application/problem+json"), path
            assert "`/docs`" in body


async def test_without_modules_the_page_says_how_to_get_them(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = read_console(modules=tmp_path)
    monkeypatch.setattr(app, "read_console", lambda: bare)
    status, _, page = await answer_of(ingest, "/")
    assert status == 200
    assert "make browser-modules" in page
    assert "<script" not in page
    for path in re.findall(r'(?:src|href)="(/console/[^"]*)"', page):
        assert (await answer_of(ingest, path))[0] == 200


async def test_media_of_a_bucket_are_allowed_where_downloads_go_there(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    changes: dict[str, Any] = {"storage_url": "s3://bucket/prefix", "presigned_downloads": True}
    async with serving(settings, **changes) as ingest:
        _, headers, _ = await answer_of(ingest, "/")
        assert "media-src 'self' blob: http://127.0.0.1:9;" in headers["Content-Security-Policy"]
