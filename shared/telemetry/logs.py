"""Logs: one line for each event, with an event name and fields. Ids are bound once per request or task.

Never log a secret, a key or text of a transcript.
"""

import contextvars
import datetime as dt
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from shared.telemetry.redact import redact

_bound: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("headrace_log_fields")


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to every event that is logged inside the block, in this task and the tasks that it starts."""
    token = _bound.set({**_bound.get({}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class Log:
    """A logger of events: `log.info("task_claimed", attempt=2)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, *, exc_info: bool = False, **fields: Any) -> None:
        self._emit(logging.ERROR, event, fields, exc_info=exc_info)

    def _emit(self, level: int, event: str, fields: dict[str, Any], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(
            level
        ):  # built here: `Logger.log` would look up callers and threads, which no line shows
            trace = sys.exc_info() if exc_info else None
            record = logging.LogRecord(self._logger.name, level, "", 0, event, None, trace)
            record.fields = {**_bound.get({}), **fields}
            self._logger.handle(record)


QUOTED = re.compile(r"[\s\"=]")  # in a value of the console, these need quotes
ENCODER = json.JSONEncoder(default=str)  # made once: `json.dumps` makes one for each call


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = f"{_second(int(record.created))}.{int(record.msecs):03}+00:00"
        line = {"at": at, "level": record.levelname, "logger": record.name, "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(ENCODER.encode(line))


class ConsoleFormatter(logging.Formatter):
    """For people: time, level, event, key=value on one line, a traceback below it.

    Values with spaces are quoted; absent values are left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = f"{_second(int(record.created))[-8:]}.{int(record.msecs):03}"
        fields = dict(getattr(record, "fields", {}))
        trace = self.formatException(record.exc_info) if record.exc_info else fields.pop("traceback", "")
        shown = " ".join(f"{key}={_value(str(value))}" for key, value in fields.items() if value is not None)
        line = f"{at} {record.levelname:<7} {_on_one_line(record.getMessage())} {shown}".rstrip()
        return redact(f"{line}\n{trace}".rstrip())


def _value(text: str) -> str:
    line = _on_one_line(text)
    if line and not QUOTED.search(line):
        return line
    escaped = line.replace('"', r"\"")
    return f'"{escaped}"'


@lru_cache(maxsize=1)
def _second(unix_s: int) -> str:
    """The date and time in UTC to the second; cached, as many lines share it."""
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _on_one_line(text: str) -> str:
    """Escape what is not printable: input cannot forge a line or move the terminal's cursor."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def configure(log_format: str, level: str) -> None:
    """Log to standard error in this format. Call it once in each process."""
    _skip_unused_look_ups()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _skip_unused_look_ups() -> None:
    """Do not look up callers, threads and processes for each line (Python's logging HOWTO, "Optimization")."""
    logging._srcfile = None  # noqa: SLF001 - documented in the HOWTO
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
