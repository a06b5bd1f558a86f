"""The process of one render: an `Order` and a transcript's JSON from standard input, its text to standard output.

Argument: the number of bytes of the order. It has no settings, opens no file but its own, and no connection.
"""

import resource
import sys

import msgspec

from ingest_service.formats.render import Order, render_json
from shared.background import run_in_background

MAX_CPU_S = 120  # a day of speech takes 5 s
MAX_MEMORY_BYTES = 2 << 30  # a day of speech takes 160 MB


def main(arguments: list[str]) -> None:
    """Render once."""
    run_in_background()
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    (order_bytes,) = arguments
    order = msgspec.json.decode(sys.stdin.buffer.read(int(order_bytes)), type=Order)
    sys.stdout.buffer.write(render_json(sys.stdin.buffer.read(), order))


if __name__ == "__main__":
    main(sys.argv[1:])
