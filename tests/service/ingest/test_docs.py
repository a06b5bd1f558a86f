"""`GET /docs`: the document in a viewer that loads nothing from other hosts, within a strict policy."""

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ingest_service.routes import docs
from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import guarded
from tests.support.ingest.serving import Ingest

MODULES = (docs.MODULE / "swagger-ui-bundle.js").exists()
FETCHED = pytest.mark.skipif(not MODULES, reason="the viewer is not installed: make browser-modules")
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
}


async def answer_of(ingest: Ingest, path: str) -> tuple[int, dict[str, str], str]:
    async with ingest.client.get(ingest.url + path) as answer:
        return answer.status, dict(answer.headers), await answer.text()


@pytest.fixture
def without_viewer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    moved = {name: (tmp_path if at == docs.MODULE else at, kind) for name, (at, kind) in docs.FILES.items()}
    monkeypatch.setattr(docs, "MODULE", tmp_path)
    monkeypatch.setattr(docs, "FILES", moved)


@FETCHED
async def test_the_page_names_only_files_of_the_service(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:  # no key is needed
        status, headers, page = await answer_of(ingest, "/docs")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert set(headers["Content-Security-Policy"].split("; ")) == POLICY
        assert not re.search(r"https?:|<script>|<style|style=| on\w+=", page)
        named = re.findall(r'(?:src|href)="(/[^"]*)"', page)
        assert len(named) == 3
        for path in named:
            status, headers, _ = await answer_of(ingest, path)
            assert status == 200, path
            assert headers["Content-Type"].startswith("text/css" if path.endswith("css") else "text/javascript")


@pytest.mark.usefixtures("without_viewer")
@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui-bundle.js"])
async def test_without_the_viewer_the_page_says_how_to_get_it(ingest: Ingest, path: str) -> None:
    status, problem = await ingest.get(path)
    assert (status, problem["code"]) == (404, "docs_not_installed")
    assert "make browser-modules" in problem["detail"]
    assert (await ingest.get("/schema"))[0] == 200


@pytest.mark.parametrize("name", ["x.js", "..%2Fapp.py", "%2e%2e%2fapp.py", "integrity", "LICENSE"])
async def test_no_other_file_is_served(ingest: Ingest, name: str) -> None:
    status, problem = await ingest.get(f"/docs/{name}")
    assert (status, problem["code"]) == (404, "not_found")


async def browse(url: str, profile: Path) -> tuple[str, str]:
    """Return the page as a browser shows it, and what the browser logs."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--enable-logging=stderr")
    run = await asyncio.create_subprocess_exec(
        *(program, *options, "--virtual-time-budget=20000", "--dump-dom", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        page, log = await asyncio.wait_for(run.communicate(), 120)
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    return page.decode(), log.decode(errors="replace")


@FETCHED
@pytest.mark.process
async def test_a_browser_shows_every_operation_and_breaks_no_policy(ingest: Ingest, tmp_path: Path) -> None:
    _, document = await ingest.get("/schema")
    page, log = await browse(f"{ingest.url}/docs", tmp_path / "profile")
    operations: list[dict[str, Any]] = [one for methods in document["paths"].values() for one in methods.values()]
    assert operations
    for operation in operations:
        assert f"operations-{operation['tags'][0]}-{operation['operationId']}" in page
    assert not [line for line in log.splitlines() if "CONSOLE" in line]
