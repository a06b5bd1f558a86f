"""Writes metrics in Prometheus' text format 0.0.4. Pure."""

from collections.abc import Iterator, Sequence

from shared.telemetry.metric_registry import Family, Series

MEDIA_TYPE = "text/plain; version=0.0.4"  # the framework adds the charset


def expose_metrics(families: Sequence[Family], numbers: Sequence[float]) -> str:
    """Return the document: for each metric its help, type and samples."""
    return "".join(line + "\n" for family in families for line in _family(family, numbers))


def _family(family: Family, numbers: Sequence[float]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.text}"
    yield f"# TYPE {family.name} {family.kind}"
    for series in family.series:
        if family.kind == "histogram":
            yield from _histogram(family, series, numbers)
        else:
            yield f"{family.name}{_labels(*series.labels)} {_number(numbers[series.slot])}"


def _histogram(family: Family, series: Series, numbers: Sequence[float]) -> Iterator[str]:
    """The row counts each bucket alone; the format wants cumulative counts."""
    count = 0.0
    for offset, bound in enumerate((*(repr(float(bound)) for bound in family.bounds), "+Inf")):
        count += numbers[series.slot + offset]
        yield f"{family.name}_bucket{_labels(*series.labels, ('le', bound))} {_number(count)}"
    yield f"{family.name}_sum{_labels(*series.labels)} {_number(numbers[series.slot + len(family.bounds) + 1])}"
    yield f"{family.name}_count{_labels(*series.labels)} {_number(count)}"


def _labels(*labels: tuple[str, str]) -> str:
    """Values need no escapes: they are our own words or names from the settings."""
    pairs = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
