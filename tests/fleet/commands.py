"""Runs a program of the system, such as `ip`."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE


class CommandError(Exception):
    """A program ended with another status than 0; what it wrote is the message."""


async def command(*arguments: object) -> str:
    """Run it to its end; what it wrote to standard output. Raises CommandError."""
    words = [str(argument) for argument in arguments]
    process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise CommandError(f"{' '.join(words)}: {errors.decode().strip()}")
    return output.decode()
