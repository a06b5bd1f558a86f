"""Find what to transcribe: files, the audio files of folders, and URLs."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from deploy.command.errors import SourceError

# Of folders, the files with these endings are taken. A file that is named itself is always taken.
ENDINGS = frozenset(
    ".3g2 .3ga .3gp .8svx .aac .ac3 .aif .aifc .aiff .amr .ape .asf .au .avi .caf .dff .dsf .dss .dts .eac3 .f4v .flac "
    ".flv .gsm .m2ts .m4a .m4b .m4r .m4v .mka .mkv .mov .mp1 .mp2 .mp3 .mp4 .mpa .mpc .mpeg .mpg .mpga .mts .mxf .oga "
    ".ogg .ogv .oma .opus .qcp .ra .rf64 .rm .shn .snd .sph .spx .tak .tta .voc .vob .w64 .wav .wave .weba .webm .wma "
    ".wmv .wtv .wv .xwma".split()
)
URL_SCHEMES = ("http://", "https://")
LONGEST_STEM = 100


class Stat(msgspec.Struct, frozen=True):
    """What changes when a file changes."""

    bytes: int
    mtime_ns: int


class Source(msgspec.Struct, frozen=True):
    """One input: a file or a URL. `folder`: the named folder in which the file was found."""

    id: str  # the absolute path, or the URL
    name: str  # as it is shown
    path: Path | None = None
    folder: Path | None = None

    @property
    def file_name(self) -> str:
        """The name that outputs are derived from."""
        return self.path.name if self.path else name_of_url(self.id)

    def stat(self) -> Stat | None:
        """Return the file's size and time; None for a URL. Raise SourceError."""
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError as error:
            raise SourceError(f"Cannot read the file: {error.strerror or error}.") from error
        return Stat(found.st_size, found.st_mtime_ns)


def find_sources(inputs: Iterable[str]) -> list[Source]:
    """Return the inputs in their order, each once; folders are searched with their subfolders, by name."""
    found: dict[str, Source] = {}
    for text in inputs:
        for source in _expanded(text):
            found.setdefault(os.path.normcase(source.id), source)
    return list(found.values())


def missing_paths(inputs: Iterable[str]) -> list[str]:
    """Return the inputs that are neither URLs nor exist."""
    return [
        text for text in inputs if not text.lower().startswith(URL_SCHEMES) and not _holds(expanded(text), Path.exists)
    ]


def _expanded(text: str) -> Iterator[Source]:
    if text.lower().startswith(URL_SCHEMES):
        url = text.encode(errors="replace").decode()
        yield Source(id=url, name=printable(_without_secrets(url)))
        return
    path = expanded(text)
    if not _holds(path, Path.is_dir):
        yield _file(path, None)
        return
    for each in audio_files(path):
        yield _file(each, path)


def expanded(text: str) -> Path:
    """Return the path that a person wrote. `~name` of an unknown user is a path like any other."""
    with suppress(RuntimeError):
        return Path(text).expanduser()
    return Path(text)


def _holds(path: Path, condition: Callable[[Path], bool]) -> bool:
    """Whether a condition holds for a path. It does not for a path that cannot be looked at, such as one too long."""
    with suppress(OSError):
        return condition(path)
    return False


def _file(path: Path, folder: Path | None) -> Source:
    return Source(id=os.path.abspath(path), name=printable(str(path)), path=path, folder=folder)  # noqa: PTH100 - links stay


def audio_files(folder: Path) -> Iterator[Path]:
    """Yield the audio files of a folder and its subfolders, by name. Hidden ones are left out."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here, name)
            if not name.startswith(".") and path.suffix.lower() in ENDINGS and path.is_file():
                yield path


def name_of_url(url: str) -> str:
    """Return a file name for what a URL names: the end of its path, or else its host."""
    try:
        parts = urlsplit(url)
    except ValueError:  # the service refuses it
        return "audio"
    last = unquote(parts.path).rstrip("/").rpartition("/")[2]
    path = Path(_file_name(last) or _file_name(parts.hostname or "") or "audio")
    return path.stem[:LONGEST_STEM] + path.suffix[:16]


def _file_name(text: str) -> str:
    """Return the text as a name that any file system can store; nothing if none is left."""
    return "".join(each if each.isprintable() and each not in '/\\:*?"<>|' else "_" for each in text).strip(". ")


def short_hash(text: str) -> str:
    """Return eight characters that differ between texts."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


def printable(text: str) -> str:
    """Return text that any terminal can show: without control characters and bytes that are not UTF-8."""
    clean = text.encode(errors="replace").decode()
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in clean)


def _without_secrets(url: str) -> str:
    """Return the URL without credentials and query: presigned URLs are secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
