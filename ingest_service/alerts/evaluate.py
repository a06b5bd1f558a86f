"""Evaluate an expression at a time, with the semantics of Prometheus. Pure."""

import math
import operator as operators
from collections.abc import Callable, Iterable, Mapping

from ingest_service.alerts.promql import Aggregation, Call, Expression, ExpressionError, Number, Operation, Selector
from ingest_service.alerts.series import Labels, SeriesSet, Vector

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operators.eq,
    "!=": operators.ne,
    ">": operators.gt,
    "<": operators.lt,
    ">=": operators.ge,
    "<=": operators.le,
}
AGGREGATES: Mapping[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "avg": lambda values: math.fsum(values) / len(values),
    "count": len,
}


def evaluate(expression: Expression, series: SeriesSet, time_s: float) -> Vector:
    """Return the value of each label set. Raise ExpressionError if the expression is a number."""
    value = _Evaluation(series, time_s).value(expression)
    if isinstance(value, float):
        raise ExpressionError("The expression is a number.")
    return value


class _Evaluation:
    def __init__(self, series: SeriesSet, time_s: float) -> None:
        self._series = series
        self._time_s = time_s

    def value(self, expression: Expression) -> Vector | float:
        match expression:
            case Number(value):
                return value
            case Selector():
                return self._instant(expression)
            case Call():
                return self._call(expression)
            case Aggregation():
                return _aggregate(expression, self._vector(expression.argument))
            case Operation():
                return _operate(expression, self.value(expression.left), self.value(expression.right))

    def _vector(self, expression: Expression) -> Vector:
        value = self.value(expression)
        if isinstance(value, float):
            raise ExpressionError("A number stands where series are needed.")
        return value

    def _instant(self, selector: Selector) -> Vector:
        if selector.range_s:
            raise ExpressionError("A range stands outside of a function.")
        values = ((one.labels, one.at(self._time_s)) for one in self._series.select(selector))
        return {labels: value for labels, value in values if value is not None}

    def _call(self, call: Call) -> Vector:
        match call.function, call.arguments:
            case ("rate" | "increase" as function, (Selector(range_s=range_s) as selector,)):
                per_s = range_s if function == "rate" else 1.0
                grown = ((one.labels, one.increase(self._time_s, range_s)) for one in self._series.select(selector))
                return {labels: value / per_s for labels, value in grown if value is not None}
            case ("absent", (argument,)):
                return {} if self._vector(argument) else {_labels_of_absent(argument): 1.0}
            case ("histogram_quantile", (Number(quantile), argument)):
                return _quantiles(quantile, self._vector(argument))
        raise ExpressionError(f"Unsupported arguments of `{call.function}`.")


def _labels_of_absent(expression: Expression) -> Labels:
    matchers = expression.matchers if isinstance(expression, Selector) else ()
    return tuple(sorted((one.label, one.value) for one in matchers if one.operator == "="))


def _aggregate(aggregation: Aggregation, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        groups.setdefault(_only(labels, aggregation.by), []).append(value)
    return {labels: float(AGGREGATES[aggregation.function](values)) for labels, values in groups.items()}


def _only(labels: Labels, names: Iterable[str] | None) -> Labels:
    return labels if names is None else tuple(pair for pair in labels if pair[0] in names)


def _operate(operation: Operation, left: Vector | float, right: Vector | float) -> Vector | float:
    if operation.operator in {"and", "unless", "or"}:
        return _combine(operation, left, right)
    if isinstance(left, float) and isinstance(right, float):
        if operation.operator in COMPARISONS:
            raise ExpressionError("Two numbers are compared.")
        return _computed(operation.operator, left, right)
    if isinstance(right, float):
        return _each(operation.operator, {labels: (value, right, value) for labels, value in left.items()})  # type: ignore[union-attr] # not both are numbers
    if isinstance(left, float):
        return _each(operation.operator, {labels: (left, value, value) for labels, value in right.items()})
    return _pairs(operation, left, right)


def _combine(operation: Operation, left: Vector | float, right: Vector | float) -> Vector:
    if isinstance(left, float) or isinstance(right, float):
        raise ExpressionError(f"`{operation.operator}` needs series on both sides.")
    kept_by = left if operation.operator == "or" else right
    keys = {_only(labels, operation.on) for labels in kept_by}
    if operation.operator == "or":
        return left | {labels: value for labels, value in right.items() if _only(labels, operation.on) not in keys}
    is_and = operation.operator == "and"
    return {labels: value for labels, value in left.items() if (_only(labels, operation.on) in keys) == is_and}


def _pairs(operation: Operation, left: Vector, right: Vector) -> Vector:
    """Combine series one to one."""
    others = {_only(labels, operation.on): value for labels, value in right.items()}
    if len(others) < len(right) or len({_only(labels, operation.on) for labels in left}) < len(left):
        raise ExpressionError("Several series have the same labels.")
    keys = ((_only(labels, operation.on), value) for labels, value in left.items())
    return _each(operation.operator, {key: (value, others[key], value) for key, value in keys if key in others})


def _each(operator: str, sides: Mapping[Labels, tuple[float, float, float]]) -> Vector:
    """Compute each result of left and right; a comparison keeps the third value of those that it is true for."""
    if operator in COMPARISONS:
        compare = COMPARISONS[operator]
        return {labels: kept for labels, (left, right, kept) in sides.items() if compare(left, right)}
    return {labels: _computed(operator, left, right) for labels, (left, right, _) in sides.items()}


def _computed(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if right:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    """Return the quantile of each histogram. `le` is the upper bound of a bucket, whose count includes lower ones."""
    histograms: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        bound = dict(labels).get("le")
        if bound is not None:
            others = tuple(pair for pair in labels if pair[0] != "le")
            histograms.setdefault(others, []).append((float(bound), count))
    return {labels: _quantile(quantile, sorted(of_one)) for labels, of_one in histograms.items()}


def _quantile(quantile: float, buckets: list[tuple[float, float]]) -> float:
    """Interpolate linearly in the bucket of the quantile. NaN without a bucket for all, or without observations."""
    if len(buckets) < 2 or not math.isinf(buckets[-1][0]) or buckets[-1][1] == 0:
        return math.nan
    counts: list[float] = []
    for _, count in buckets:
        counts.append(max(count, counts[-1]) if counts else count)  # rates of buckets may differ by rounding
    rank = quantile * counts[-1]
    at = next((index for index, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if at == len(counts) - 1:
        return buckets[-2][0]
    upper, lower = buckets[at][0], buckets[at - 1][0] if at else 0.0
    if at == 0 and upper <= 0:
        return upper
    below = counts[at - 1] if at else 0.0
    return lower + (upper - lower) * (rank - below) / (counts[at] - below)
