"""Logs: an event name and fields, one line an event; ids are bound once per request or task.

Never a secret, a key or a line of somebody's transcript.
"""

import contextvars
import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_bound: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("headrace_log_fields")


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to every event logged inside the block, in this task and those it starts."""
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
        if self._logger.isEnabledFor(level):  # the record is made here: `Logger.log` would look for what no line shows
            trace = sys.exc_info() if exc_info else None
            record = logging.LogRecord(self._logger.name, level, "", 0, event, None, trace)
            record.fields = {**_bound.get({}), **fields}
            self._logger.handle(record)


ENCODER = json.JSONEncoder(default=str)  # made once: `json.dumps` would for each line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = f"{_second(int(record.created))}.{int(record.msecs):03}+00:00"
        line = {"at": at, "level": record.levelname, "logger": record.name, "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return ENCODER.encode(line)


class ConsoleFormatter(logging.Formatter):
    """For people: time, level, event, key=value on one line; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        at = f"{_second(int(record.created))[-8:]}.{int(record.msecs):03}"
        fields = dict(getattr(record, "fields", {}))
        trace = self.formatException(record.exc_info) if record.exc_info else fields.pop("traceback", "")
        shown = " ".join(f"{key}={_on_one_line(str(value))}" for key, value in fields.items())
        line = f"{at} {record.levelname:<7} {_on_one_line(record.getMessage())} {shown}".rstrip()
        return f"{line}\n{trace}".rstrip()


@lru_cache(maxsize=1)
def _second(unix_s: int) -> str:
    """The date and time in UTC, down to the second: told once for all the lines of it."""
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _on_one_line(text: str) -> str:
    """What somebody sent cannot pass for an event of ours, nor move a terminal's cursor."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def configure(log_format: str, level: str) -> None:
    """Send everything to standard error in the chosen format; called once by each process."""
    _leave_out_what_no_line_shows()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _leave_out_what_no_line_shows() -> None:
    """Callers, threads and processes are looked up for each line, unless told not to (logging, "Optimization")."""
    logging._srcfile = None  # noqa: SLF001 - documented there
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
