"""The process of one render: edits, if any, and a transcript's JSON from standard input, its text to standard output.

Arguments: format (or an `Answer` as JSON), job id, the fields of CueSize in order, the number of bytes of the edits.
It has no settings, and opens no file and no connection.
"""

import os
import resource
import sys
from typing import get_args

import msgspec

from ingest_service.openai_api.answers import Answer
from ingest_service.subtitles.cue_size import CueSize
from ingest_service.subtitles.formats import EditsForm, Overlay, TextFormat, Wanted, render_json

NICENESS = 10  # uploads come first
MAX_CPU_S = 120  # a day of speech takes 5 s
MAX_MEMORY_BYTES = 2 << 30  # a day of speech takes 160 MB


def main(arguments: list[str]) -> None:
    """Render once."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    name, job_id, chars, lines, seconds, edits_bytes = arguments
    wanted: Wanted = (
        msgspec.json.decode(name, type=Answer)
        if name.startswith("{")
        else next(each for each in (*get_args(TextFormat), *get_args(EditsForm)) if each == name)
    )
    size = CueSize(max_chars=int(chars), max_lines=int(lines), max_seconds=float(seconds))
    edits = sys.stdin.buffer.read(int(edits_bytes))
    overlay = msgspec.json.decode(edits, type=Overlay) if edits else None
    text = render_json(sys.stdin.buffer.read(), wanted, size=size, job_id=job_id, overlay=overlay)
    sys.stdout.buffer.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
