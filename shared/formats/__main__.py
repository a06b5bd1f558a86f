"""The process of one render: a transcript's JSON from standard input, the file in a format to standard output.

Arguments: the format, and the id of the job. It has no settings, opens no file but its own, and no connection.
"""

import resource
import sys

from shared.background import run_in_background
from shared.formats.render import render_stored

MAX_CPU_S = 120  # a day of speech takes 5 s
MAX_MEMORY_BYTES = 2 << 30  # a day of speech takes 160 MB


def main(arguments: list[str]) -> None:
    """Render once."""
    run_in_background()
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    wanted, job_id = arguments
    sys.stdout.buffer.write(render_stored(sys.stdin.buffer.read(), wanted, job_id))


if __name__ == "__main__":
    main(sys.argv[1:])
