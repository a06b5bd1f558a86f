"""The arguments of `headrace watch`."""

import argparse
from collections.abc import Sequence
from typing import Any

from deploy.command.errors import UsageError
from deploy.command.values import seconds, whole
from deploy.command.watcher.one_file import Aim
from deploy.command.watcher.places import SAFE_NAME

DEFAULTS = {"denoise": "false"}  # no denoised recording is fetched


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `headrace watch`."""
    parser.add_argument("source", metavar="FOLDER|s3://BUCKET/PREFIX", help="what to watch, with its subfolders")
    parser.add_argument("--to", metavar="FOLDER|s3://…", help="where outputs go (default: beside each file)")
    parser.add_argument("-f", "--formats", default="srt,json", metavar="FORMATS", help="with commas (srt,json)")
    parser.add_argument(
        "-O",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the jobs; may be repeated",
    )
    parser.add_argument("--once", action="store_true", help="end when all files are done")
    parser.add_argument("--move-done", metavar="NAME", help="move processed files to this subfolder")
    parser.add_argument("--erase", action="store_true", help="erase jobs on the service when their outputs are written")
    parser.add_argument("-j", "--jobs", type=whole(range(1, 257)), default=8, metavar="N", help="files at once (8)")
    parser.epilog = "Options of jobs are described in docs/api.md. Ctrl-C ends the command; its jobs go on."
    parser.add_argument("--every", type=seconds, metavar="S", help="seconds between two scans (5; of a bucket 60)")
    parser.add_argument(
        "--settle", type=seconds, default=5.0, metavar="S", help="seconds without a change until a file is complete (5)"
    )
    parser.add_argument("--name", help="what all watchers of this folder call it (default: its absolute path)")
    parser.add_argument("--alive", metavar="FILE", help="set the time of this file at each scan, for health checks")


def aim_of(chosen: argparse.Namespace) -> Aim:
    """Return what to make of each file. Raise UsageError."""
    from deploy.command.arguments import formats_of

    if chosen.move_done is not None and not SAFE_NAME.fullmatch(chosen.move_done):
        raise UsageError("--move-done must be the name of a subfolder: letters, digits, dots, underscores and hyphens")
    return Aim(
        formats=formats_of(chosen.formats),
        options=DEFAULTS | _options(chosen.option),
        done_folder=chosen.move_done,
        erase=chosen.erase,
    )


def _options(given: Sequence[str]) -> dict[str, str]:
    options: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            raise UsageError(f"--option {text!r} must be NAME=VALUE, such as diarize=true")
        if name in options:
            raise UsageError(f"--option {name} is given twice")
        options[name] = value
    return options
