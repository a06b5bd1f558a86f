"""The model cache and its sources, against real files, a real local server and the package that carries tiny.en."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor_service.models.cache import ModelCache, ModelError, locate
from processor_service.models.fetch import fetch

WEIGHTS = b"weights" * 1000


def _say(_text: str) -> None:
    pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves one "official" file below its own digest; yields the base address."""
    root = tmp_path / "hub"
    for folder in (hashlib.sha256(WEIGHTS).hexdigest(), "0" * 64):
        (root / folder).mkdir(parents=True)
        (root / folder / "small.pt").write_bytes(WEIGHTS)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(root), **kwargs)  # type: ignore[arg-type] # passed through

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
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


def test_a_damaged_download_is_refused_and_leaves_nothing(server: str, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "models")

    with pytest.raises(ModelError, match="damaged"):
        fetch("small", cache, _say, url=f"{server}/{'0' * 64}/small.pt")

    assert list(cache.folder.iterdir()) == []


def test_an_unreachable_hub_without_a_package_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'small' could not be downloaded"):
        fetch("small", ModelCache(tmp_path), _say, url=f"http://127.0.0.1:9/{'0' * 64}/small.pt")


def test_an_unreachable_hub_is_made_up_for_by_the_package(tmp_path: Path) -> None:
    import whisper

    cache = ModelCache(tmp_path)

    path = fetch("tiny.en", cache, _say, url=f"http://127.0.0.1:9/{'0' * 64}/tiny.en.pt")

    model = whisper.load_model(str(path))
    assert (model.dims.n_vocab, model.dims.n_text_layer) == (51864, 4)
    assert not model.is_multilingual


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model named 'huge'.*tiny\.en"):
        fetch("huge", ModelCache(tmp_path), _say)


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
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
