"""Runs a system program, such as `ip`."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE


class CommandError(Exception):
    """A program exited with a status other than 0; the message is its standard error."""


async def command(*arguments: object) -> str:
    """Run a program to its end and return its standard output. Raise CommandError."""
    words = [str(argument) for argument in arguments]
    process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise CommandError(f"{' '.join(words)}: {errors.decode().strip()}")
    return output.decode()
