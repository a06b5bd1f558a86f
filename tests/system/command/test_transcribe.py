"""`headrace transcribe` against a running pair: files, folders, URLs, outputs and exit statuses."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.acceptance.client import Client
from tests.support.clips import JFK
from tests.support.command import Command, files_in
from tests.support.ingest.sounds import wav

pytestmark = pytest.mark.process


async def job_count(client: Client) -> int:
    async with client.http.get("/v1/jobs", params={"limit": "200"}) as answer:
        return len((await answer.json())["jobs"])


def clips(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(JFK.path, path)
    return paths


async def test_twenty_files_are_one_command_and_a_second_one_skips_them(
    command: Command, folder: Path, client: Client
) -> None:
    paths = clips(folder, *(f"clip {number}.flac" for number in range(20)))

    first = await command.run("transcribe", *paths, "--output_format", "srt")

    assert first.status == 0, first.errors
    assert all(" --> " in path.with_suffix(".srt").read_text() for path in paths)
    assert len(files_in(folder)) == 40

    before = await job_count(client)
    second = await command.run("transcribe", *paths, "--output_format", "srt", "--json")

    assert second.status == 0
    assert [one["status"] for one in second.results] == ["skipped"] * 20
    assert await job_count(client) == before
    forced = await command.run("transcribe", paths[0], "--output_format", "srt", "--json", "--force")
    assert [one["status"] for one in forced.results] == ["done"]


async def test_a_folder_gets_all_formats_beside_its_files(command: Command, folder: Path) -> None:
    clips(folder, "a.flac", "x/b.flac", "x/.hidden.flac")

    ended = await command.run("transcribe", ".", "--max_line_width", "10", "--max_line_count", "1", "--json")

    assert ended.status == 0, ended.errors
    assert {one["source"] for one in ended.results} == {"a.flac", "x/b.flac"}
    for base in (folder / "a", folder / "x" / "b"):
        texts = {each: base.with_suffix(f".{each}").read_text() for each in ("txt", "vtt", "srt", "tsv", "json")}
        assert texts["vtt"].startswith("WEBVTT")
        assert texts["tsv"].startswith("start\tend\ttext\n0\t")
        assert '"segments"' in texts["json"]
        assert max(map(len, texts["srt"].split("\n\n")[0].splitlines()[2:])) <= 10


async def test_documents_are_written_beside_the_recording(command: Command, folder: Path) -> None:
    clips(folder, "a.flac")

    ended = await command.run("transcribe", ".", "-f", "html,docx,textgrid,lrc,md", "--highlight_words", "True")

    assert ended.status == 0, ended.errors
    assert '<source src="./a.flac">' in (folder / "a.html").read_text()  # the page plays what lies beside it
    assert (folder / "a.docx").read_bytes().startswith(b"PK")
    assert (folder / "a.TextGrid").read_text().startswith("File type")
    assert "]<00:" in (folder / "a.lrc").read_text()  # the times of words
    assert (folder / "a.md").read_text().startswith("# a.flac\n")


async def test_files_of_one_name_keep_their_own_outputs(command: Command, folder: Path) -> None:
    one, other = clips(folder, "x/talk.flac", "y/talk.flac")

    first = await command.run("transcribe", one, "-f", "txt", "-o", "out", "--json")
    second = await command.run("transcribe", other, "-f", "txt", "-o", "out", "--json")
    third = await command.run("transcribe", one, other, "-f", "txt", "-o", "out", "--json")

    outputs = [ended.results[0]["outputs"] for ended in (first, second)]
    assert outputs == [["out/talk.txt"], ["out/talk.flac.txt"]]
    assert [one["status"] for one in third.results] == ["skipped", "skipped"]


async def test_a_failure_leaves_the_former_output_and_the_other_files_go_on(command: Command, folder: Path) -> None:
    (good,) = clips(folder, "good.flac")
    bad, missing = folder / "bad.wav", folder / "missing.wav"
    (folder / "bad.txt").write_text("the former text")
    bad.write_bytes(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(range(256)) * 16)

    ended = await command.run("transcribe", bad, missing, good, "-f", "txt", "--json", "--force")

    by_name = {Path(one["source"]).name: one for one in ended.results}
    assert ended.status == 1
    assert {name: one["status"] for name, one in by_name.items()} == {
        "bad.wav": "failed",
        "missing.wav": "failed",
        "good.flac": "done",
    }
    assert by_name["bad.wav"]["error"]["code"] in {"undecodable_audio", "unsupported_media"}
    assert by_name["missing.wav"]["error"]["code"] == "unreadable_file"
    assert (folder / "bad.txt").read_text() == "the former text"
    assert files_in(folder) == ["bad.txt", "bad.wav", "good.flac", "good.txt"]


async def test_key_terms_reach_the_job_and_words_are_replaced(command: Command, folder: Path, client: Client) -> None:
    clips(folder, "a.flac")
    (folder / "names.txt").write_text("Siobhan\nPrzybylski\n")

    ended = await command.run(
        "transcribe", "a.flac", "-f", "txt", "--keyterms_file", "names.txt", "--replace", "tick=tock", "--json"
    )

    assert ended.status == 0, ended.errors
    text = (folder / "a.txt").read_text()
    assert "tock" in text
    assert "tick" not in text
    async with client.http.get(f"/v1/jobs/{ended.results[0]['job_id']}") as answer:
        assert (await answer.json())["options"]["keyterms"] == ["Siobhan", "Przybylski"]


@pytest.mark.parametrize("seconds", [1, 300])
async def test_a_thousand_long_key_terms_reach_the_job_of_a_small_and_a_large_file(
    command: Command, folder: Path, client: Client, seconds: int
) -> None:
    terms = [f"{number} {'Kowalczyk ' * 9}".strip() for number in range(1000)]
    (folder / "terms.txt").write_text("\n".join(terms))
    (folder / "a.wav").write_bytes(wav(seconds * 32_000))

    ended = await command.run("transcribe", "a.wav", "-f", "txt", "--keyterms_file", "terms.txt", "--json")

    assert ended.status == 0, ended.errors
    async with client.http.get(f"/v1/jobs/{ended.results[0]['job_id']}") as answer:
        job = await answer.json()
    assert job["options"]["keyterms"] == terms
    assert job["filename"] == "a.wav"


async def test_one_format_can_be_printed(command: Command, folder: Path) -> None:
    (clip,) = clips(folder, "a.flac")

    ended = await command.run("transcribe", clip, "-f", "txt", "-o", "-")

    assert ended.status == 0
    assert "tick" in ended.output
    assert files_in(folder) == ["a.flac"]


@pytest_asyncio.fixture
async def site() -> AsyncIterator[str]:
    """A web server with one clip."""
    application = web.Application()

    async def give(_: web.Request) -> web.FileResponse:
        return web.FileResponse(JFK.path)

    application.router.add_get("/talks/my talk.flac", give)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_url_is_transcribed_into_the_current_folder(command: Command, folder: Path, site: str) -> None:
    url = f"{site}/talks/my%20talk.flac?token=secret"

    ended = await command.run("transcribe", url, "-f", "vtt")
    missing = await command.run("transcribe", f"{site}/missing.flac", "-f", "vtt", "--json")

    assert ended.status == 0, ended.errors
    assert (folder / "my talk.vtt").read_text().startswith("WEBVTT")
    assert "secret" not in ended.output + ended.errors
    assert missing.status == 1
    assert missing.results[0]["error"]["code"] == "source_refused"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["transcribe", "a.wav", "--output_format", "doc"], 2, "doc"),
        (["transcribe"], 2, "FILE"),
        (["transcribe", "missing.wav"], 1, "No such file"),
        (["show", "no-such-job"], 1, "id"),
        (["transcribe", "--help"], 0, ""),
    ],
)
async def test_exit_statuses(command: Command, arguments: list[str], status: int, said: str) -> None:
    ended = await command.run(*arguments)

    assert ended.status == status
    assert said in ended.errors
    assert "Traceback" not in ended.errors


async def test_an_address_where_nothing_answers(command: Command, folder: Path) -> None:
    (folder / "a.wav").write_bytes(wav())

    ended = await command.run("transcribe", "a.wav", "--url", "http://127.0.0.1:1")

    assert ended.status == 1
    assert "http://127.0.0.1:1" in ended.errors
    assert ended.errors.count("\n") == 1


async def test_the_job_is_erased_if_wanted(command: Command, folder: Path, client: Client) -> None:
    clips(folder, "a.flac")

    ended = await command.run("transcribe", "a.flac", "-f", "txt", "--erase", "--json")

    async with client.http.get(f"/v1/jobs/{ended.results[0]['job_id']}") as answer:
        assert answer.status == 410
    assert "tick" in (folder / "a.txt").read_text()
