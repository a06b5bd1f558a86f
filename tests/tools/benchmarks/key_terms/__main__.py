"""`python -m tests.tools.benchmarks.key_terms`: what key terms find, invent and change.

Recordings are transcribed as in a compute child: without terms, with the rare names that are said among unrelated ones,
and with unrelated ones alone. Names are counted as whole words, as often as they are said. An inserted term is an
unrelated one that stands in the text more often than without terms. Prints a line for each run and, last, one JSON
object.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from processor_service.audio.decode import open_source
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.compute.requests import Engine, process_chunk
from processor_service.stages.final_transcript import final_transcript
from processor_service.transcribers.engines import load_transcriber
from shared.schemas.key_terms import MAX_TERMS
from shared.schemas.options import JobOptions
from tests.support.models import MODEL, model_for
from tests.tools.benchmarks.key_terms.said import WORD, Said, of_corpus, synthesized, unrelated_terms
from tests.tools.benchmarks.word_errors import changed_words, word_error_rate


class Texts(NamedTuple):
    """The texts of some recordings, and the CPU time that they took."""

    texts: tuple[str, ...]
    cpu_s: float


class Listener:
    """Transcribes files with one model."""

    def __init__(self, model: str, threads: int) -> None:
        self._path = model_for("openai-whisper", model)
        self._engine = Engine("openai-whisper", load_transcriber)
        self._engine.transcriber(self._path).warm_up()
        self._threads = threads

    def __call__(self, said: Sequence[Said], terms: tuple[str, ...]) -> Texts:
        """Return the texts of recordings with these key terms."""
        options = JobOptions(denoise=False, language="en", keyterms=terms)
        began_s = time.process_time()
        texts = tuple(self._text(one.path, options) for one in said)
        return Texts(texts, round(time.process_time() - began_s, 1))

    def _text(self, path: Path, options: JobOptions) -> str:
        chunks: list[ChunkFile] = []
        with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
            with open_source(path, max_audio_s=3600.0) as source:
                write_chunks(source, Path(folder), threshold_s=3600.0, on_chunk=chunks.append)
            done = [self._processed(chunk, options) for chunk in chunks]
        return final_transcript([one.transcript for one in done], options, duration_s=3600.0).text

    def _processed(self, chunk: ChunkFile, options: JobOptions) -> ChunkProcessed:
        request = ProcessChunk(
            chunk=chunk, options=options, model_path=str(self._path), threads=self._threads, denoised_path=None
        )
        reply = process_chunk(self._engine, request, lambda _: None)
        if not isinstance(reply, ChunkProcessed):
            raise TypeError(type(reply))
        return reply


def main() -> int:
    """Measure, print a line for each run and, last, all figures as one JSON object."""
    arguments = _arguments()
    listen = Listener(arguments.model, arguments.threads)
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        recorded, spoken = of_corpus(arguments.corpus), list(synthesized(Path(folder)))
        lists = [unrelated_terms(MAX_TERMS, seed, [*recorded, *spoken]) for seed in range(arguments.lists)]
        report = {
            "model": arguments.model,
            "terms": MAX_TERMS,
            "recordings": _measured("recordings", listen, recorded, lists),
            "synthesized": _measured("synthesized", listen, spoken, lists),
        }
    print(json.dumps(report))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.key_terms", description=__doc__)
    parser.add_argument("--corpus", type=_path, help="a folder with manifest.json; default: the bundled clips")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--lists", type=int, default=2, help="of unrelated terms; the names are in the first")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _measured(group: str, listen: Listener, said: Sequence[Said], lists: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """The figures of some recordings: without terms, with their names in the first list, and with the other lists."""
    names = tuple(dict.fromkeys(name for one in said for name in one.names))
    plain = listen(said, ())
    runs = {"without terms": _figures(said, plain, plain, ())}
    given = {"names among unrelated terms": (*names, *lists[0])[:MAX_TERMS]}
    given |= {f"unrelated terms, list {number}": terms for number, terms in enumerate(lists[1:], 2)}
    for title, terms in given.items():
        unrelated = [term for term in terms if term not in names]
        runs[title] = _figures(said, plain, listen(said, terms), unrelated)
    for title, figures in runs.items():
        print(f"{group}, {title}: {figures}", flush=True)
    return {"files": len(said), "words": sum(len(WORD.findall(one.text)) for one in said), "runs": runs}


def _figures(said: Sequence[Said], plain: Texts, heard: Texts, unrelated: Sequence[str]) -> dict[str, Any]:
    pairs = list(zip(plain.texts, heard.texts, strict=True))
    inserted = [term for before, after in pairs for term in added_terms(before, after, unrelated)]
    words = sum(len(WORD.findall(one.text)) for one in said)
    before, after = " ".join(plain.texts), " ".join(heard.texts)
    return {
        "names_said": sum(len(one.names) for one in said),
        "names_found": sum(found_names(one.names, text) for one, text in zip(said, heard.texts, strict=True)),
        "word_error_rate": word_error_rate(" ".join(one.text for one in said), after),
        "changed_words": changed_words(before, after),
        "inserted_terms": inserted,
        "inserted_in_1000_words": round(1000 * len(inserted) / words, 3),
        "cpu_s": heard.cpu_s,
    }


def found_names(names: Sequence[str], text: str) -> int:
    """Return how many of the names that are said stand in a text, each at most as often as it is said."""
    return sum(min(count, times(name, text)) for name, count in Counter(names).items())


def added_terms(before: str, after: str, terms: Sequence[str]) -> list[str]:
    """Return the terms that stand in a text more often than in the one before, each as often as it was added."""
    return [term for term in terms for _ in range(times(term, after) - times(term, before))]


def times(term: str, text: str) -> int:
    """Return how often a text has a term, as whole words in any case."""
    return _words(text).count(_words(term))


@cache
def _words(text: str) -> str:
    return "".join(f" {word} " for word in WORD.findall(text.casefold()))


if __name__ == "__main__":
    sys.exit(main())
