"""Fill in the summary of an alert: the templates of Prometheus that the rules use. Pure."""

import math
import re
from collections.abc import Callable, Mapping

from ingest_service.alerts.series import Labels

PLACEHOLDER = re.compile(r"\{\{\s*\$(?P<what>value|labels\.(?P<label>\w+))\s*(?:\|\s*(?P<filter>\w+)\s*)?\}\}")
PREFIXES = "kMGTPEZY"
SMALL_PREFIXES = "munpfazy"


def fill_in(template: str, labels: Labels, value: float) -> str:
    """Return the text for an alert's labels and value. A placeholder that is not known stays."""
    of_label = dict(labels)

    def text(found: re.Match[str]) -> str:
        if found["label"]:
            return of_label.get(found["label"], "")
        if found["filter"] is None:
            return plain_number(value)
        shape = FILTERS.get(found["filter"])
        return shape(value) if shape else found[0]

    return PLACEHOLDER.sub(text, template)


def plain_number(value: float) -> str:
    """Return a number as Go prints it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def humanize(value: float) -> str:
    """Return four digits with a prefix of SI: `1.234k`."""
    if value == 0 or not math.isfinite(value):
        return _four_digits(value)
    step, prefix = 0, ""
    if abs(value) >= 1:
        while abs(value) >= 1000 and step < len(PREFIXES):
            value, prefix, step = value / 1000, PREFIXES[step], step + 1
    else:
        while abs(value) < 1 and step < len(SMALL_PREFIXES):
            value, prefix, step = value * 1000, SMALL_PREFIXES[step], step + 1
    return f"{_four_digits(value)}{prefix}"


def humanize_percentage(value: float) -> str:
    """Return `12.34%`."""
    return f"{_four_digits(value * 100)}%"


def humanize_duration(value: float) -> str:
    """Return `1h 2m 3s`, or a fraction of a second with its unit."""
    if not math.isfinite(value):
        return plain_number(value)
    if abs(value) < 60:
        return f"{_four_digits(value) if abs(value) >= 1 else humanize(value)}s"
    minutes, seconds = divmod(int(abs(value)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next(at for at, (count, _) in enumerate(parts) if count)
    return ("-" if value < 0 else "") + " ".join(f"{count}{unit}" for count, unit in parts[first:])


def _four_digits(value: float) -> str:
    """Go's `%.4g`."""
    return f"{value:.4g}" if math.isfinite(value) else plain_number(value)


FILTERS: Mapping[str, Callable[[float], str]] = {
    "humanize": humanize,
    "humanizePercentage": humanize_percentage,
    "humanizeDuration": humanize_duration,
}
