"""Where outputs go, which of them are up to date, and how they are written."""

import os
import secrets
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

from deploy.command.errors import CommandError
from deploy.command.sources import Source, short_hash
from deploy.command.state import Output, State

FORMATS = ("txt", "vtt", "srt", "tsv", "json")  # whisper's, in its order: `all`
MORE_FORMATS = ("lrc", "md", "html", "docx", "textgrid", "chapters", "ffmetadata")
ENDINGS = {"textgrid": "TextGrid", "chapters": "chapters.vtt"}  # where it is not the name of the format
STDOUT = Path("-")
KINDS_OF_NAME = 3


def plan_bases(sources: Sequence[Source], output_dir: Path | None, state: State) -> dict[str, Path]:
    """Return for each source, by its id, the path of its outputs without their endings: no two are equal.

    As whisper names them: the file's name without its ending, beside it or in the output folder. Sources that would
    share that name keep their ending (`talk.mp3.srt`, `talk.wav.srt`), and then get a hash of their path. A source
    keeps the name that it had in an earlier run.
    """
    plan = _Plan(sources, output_dir, state)
    for source in sources:
        plan.keep_name(source)
    plan.choose_names([source for source in sources if source.id not in plan.bases])
    return plan.bases


class _Plan:
    def __init__(self, sources: Sequence[Source], output_dir: Path | None, state: State) -> None:
        self.bases: dict[str, Path] = {}
        self._output_dir = output_dir
        self._state = state
        self._folders: dict[Path, str] = {}
        paths = [source.path for source in sources if source.path]
        self._inputs = {self._folded(each) for path in paths for each in (path, Path(os.path.realpath(path)))}
        self._claimed: set[str] = set()

    def keep_name(self, source: Source) -> None:
        """Give a source the name of an earlier run, if it had one."""
        for base in islice(_names(source, self._output_dir), KINDS_OF_NAME):
            known = self._state.output(base)
            if known is not None and known.is_of(source) and not self._is_unusable(base):
                self._claim(source.id, base)
                return

    def choose_names(self, sources: Iterable[Source]) -> None:
        """Give the first free name to each source; those that want the same one take their next."""
        waiting = {source.id: (source, _names(source, self._output_dir)) for source in sources}
        while waiting:
            wanting: dict[str, list[tuple[str, Path]]] = defaultdict(list)
            for source, names in waiting.values():
                base = next(name for name in names if not self._is_taken(name, source))
                wanting[self._folded(base)].append((source.id, base))
            for source_id, base in (group[0] for group in wanting.values() if len(group) == 1):
                self._claim(source_id, base)
                del waiting[source_id]

    def _claim(self, source_id: str, base: Path) -> None:
        self.bases[source_id] = base
        self._claimed.add(self._folded(base))

    def _is_taken(self, base: Path, source: Source) -> bool:
        """Whether the name is unusable, or that of another source's outputs."""
        known = self._state.output(base)
        is_of_another = known is not None and not known.is_of(source) and any(map(_exists, _outputs(base)))
        return is_of_another or self._is_unusable(base)

    def _is_unusable(self, base: Path) -> bool:
        """Whether an output would overwrite one of the inputs, or that of another source."""
        return self._folded(base) in self._claimed or any(self._folded(each) in self._inputs for each in _outputs(base))

    def _folded(self, path: Path) -> str:
        """Return the path as file systems compare it that ignore case or normalize Unicode, without links to folders.

        A file that is a link stays: writing an output replaces the link.
        """
        folder = self._folders.get(path.parent)
        if folder is None:
            folder = self._folders[path.parent] = os.path.realpath(path.parent)
        return unicodedata.normalize("NFC", f"{folder}/{path.name}").casefold()


def _outputs(base: Path) -> list[Path]:
    return [with_ending(base, each) for each in (*FORMATS, *MORE_FORMATS)]


def _exists(path: Path) -> bool:
    return path.exists()


def _names(source: Source, output_dir: Path | None) -> Iterator[Path]:
    """Yield the possible names of a source, the best first."""
    folder, name = _folder_of(source, output_dir), source.file_name
    yield folder / Path(name).stem
    yield folder / name
    yield folder / f"{name}.{short_hash(source.id)}"
    for number in count(2):
        yield folder / f"{name}.{short_hash(source.id)}.{number}"


def _folder_of(source: Source, output_dir: Path | None) -> Path:
    """Return the folder of a source's outputs. The subfolders of a named folder are kept in the output folder."""
    if output_dir is None:
        return source.path.parent if source.path else Path()
    if source.path is None or source.folder is None:
        return output_dir
    return output_dir / source.path.parent.relative_to(source.folder)


def with_ending(base: Path, output_format: str) -> Path:
    """Return the path of one output. The base may contain dots."""
    return base.with_name(f"{base.name}.{ENDINGS.get(output_format, output_format)}")


def is_up_to_date(base: Path, formats: Iterable[str], source: Source, known: Output | None) -> bool:
    """Whether all outputs exist and are of the source as it is now. Raise SourceError.

    Without a note of an earlier run, an output that is not older than its source counts; of a URL, any.
    """
    stat = source.stat()
    try:
        times_ns = [with_ending(base, each).stat().st_mtime_ns for each in formats]
    except OSError:
        return False
    if known is not None:
        return known.is_of(source) and known.stat == stat
    return stat is None or min(times_ns) >= stat.mtime_ns


def require_writable(folder: Path) -> None:
    """Create the folder if it is missing. Raise CommandError if outputs cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"Cannot create {folder}: {error.strerror or error}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"Cannot write to the folder {folder}.")


def write_output(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all: an existing one is replaced, never truncated. Raise CommandError."""
    fresh = path.with_name(f".headrace-{secrets.token_hex(8)}.part")  # the name of the file may be as long as allowed
    try:
        try:
            with fresh.open("xb") as file:
                file.write(content)
            fresh.replace(path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
    except OSError as error:
        raise CommandError(f"Cannot write {path}: {error.strerror or error}.") from error
