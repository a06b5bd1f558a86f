"""Parse the part of PromQL that the alert rules use: selectors, functions, aggregations and binary operators. Pure.

Offsets, subqueries, `without`, `ignoring` and grouping modifiers are not supported: they raise ExpressionError.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec


class ExpressionError(ValueError):
    """The expression is invalid, or uses more of PromQL than is supported here."""


class Matcher(msgspec.Struct, frozen=True):
    """A condition on a label; `operator` is `=`, `!=`, `=~` or `!~`."""

    label: str
    operator: str
    value: str


class Number(msgspec.Struct, frozen=True):
    value: float


class Selector(msgspec.Struct, frozen=True):
    """Series by name and labels; a range vector if `range_s` is above 0."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    range_s: float = 0.0


class Call(msgspec.Struct, frozen=True):
    function: str
    arguments: "tuple[Expression, ...]"


class Aggregation(msgspec.Struct, frozen=True):
    """`by` names the labels that are kept."""

    function: str
    by: tuple[str, ...]
    argument: "Expression"


class Operation(msgspec.Struct, frozen=True):
    """`on` names the labels that are compared; None: all."""

    operator: str
    left: "Expression"
    right: "Expression"
    on: tuple[str, ...] | None = None


Expression = Number | Selector | Call | Aggregation | Operation

FUNCTIONS = {"rate": 1, "increase": 1, "absent": 1, "histogram_quantile": 2}  # and their number of arguments
AGGREGATIONS = ("sum", "max", "min", "avg", "count")
BY_PRECEDENCE = (("or",), ("and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/"))
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<range>\[\s*(?P<count>\d+)(?P<unit>[smhd])\s*\])
      | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<text>"[^"\\\n]*"|'[^'\\\n]*')
      | (?P<sign>=~|!~|==|!=|>=|<=|[-+*/<>=(){},])""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    seconds: float = 0.0


def parse_expression(text: str) -> Expression:
    """Return the expression. Raise ExpressionError."""
    tokens = _Tokens([*_tokens(text), _Token("end", "")])
    expression = _operation(tokens, 0)
    tokens.expect("end")
    return expression


def selectors_of(expression: Expression) -> Iterator[Selector]:
    """Yield all selectors of an expression."""
    match expression:
        case Selector():
            yield expression
        case Call(arguments=arguments):
            for argument in arguments:
                yield from selectors_of(argument)
        case Aggregation(argument=argument):
            yield from selectors_of(argument)
        case Operation(left=left, right=right):
            yield from selectors_of(left)
            yield from selectors_of(right)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"Unsupported at `{text[at : at + 20]}`.")
        at = found.end()
        kind = found.lastgroup or ""
        if found["range"]:
            yield _Token("range", found["range"], float(found["count"]) * SECONDS[found["unit"]])
        elif kind != "space":
            yield _Token(kind, found[0])


class _Tokens:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._at]

    def take(self) -> _Token:
        token = self.next
        self._at += 1
        return token

    def take_if(self, *texts: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        if self.next.kind in {"name", "sign"} and self.next.text in texts:
            return self.take().text
        return None

    def expect(self, *texts_or_kinds: str) -> _Token:
        token = self.take()
        if token.kind not in texts_or_kinds and token.text not in texts_or_kinds:
            raise ExpressionError(f"Expected {' or '.join(texts_or_kinds)} instead of `{token.text}`.")
        return token


def _operation(tokens: _Tokens, level: int) -> Expression:
    """Parse operators of a precedence and above. All are left-associative."""
    if level == len(BY_PRECEDENCE):
        return _operand(tokens)
    left = _operation(tokens, level + 1)
    while operator := tokens.take_if(*BY_PRECEDENCE[level]):
        on = _labels(tokens) if tokens.take_if("on") else None
        left = Operation(operator, left, _operation(tokens, level + 1), on)
    return left


def _operand(tokens: _Tokens) -> Expression:
    token = tokens.expect("number", "name", "(")
    if token.kind == "number":
        return Number(float(token.text))
    if token.text == "(":
        inner = _operation(tokens, 0)
        tokens.expect(")")
        return inner
    if token.text in AGGREGATIONS:
        by = _labels(tokens) if tokens.take_if("by") else ()
        (argument,) = _arguments(tokens, token.text, 1)
        return Aggregation(token.text, by, argument)
    if tokens.next.text == "(":
        return _call(tokens, token.text)
    return _selector(tokens, token.text)


def _call(tokens: _Tokens, function: str) -> Call:
    if function not in FUNCTIONS:
        raise ExpressionError(f"The function `{function}` is not supported.")
    arguments = _arguments(tokens, function, FUNCTIONS[function])
    if function in {"rate", "increase"} and not (isinstance(arguments[0], Selector) and arguments[0].range_s):
        raise ExpressionError(f"`{function}` needs a range such as [5m].")
    return Call(function, arguments)


def _arguments(tokens: _Tokens, function: str, count: int) -> tuple[Expression, ...]:
    tokens.expect("(")
    arguments = [_operation(tokens, 0)]
    while tokens.take_if(","):
        arguments.append(_operation(tokens, 0))
    tokens.expect(")")
    if len(arguments) != count:
        raise ExpressionError(f"`{function}` takes {count} arguments.")
    return tuple(arguments)


def _labels(tokens: _Tokens) -> tuple[str, ...]:
    tokens.expect("(")
    labels: list[str] = []
    while not tokens.take_if(")"):
        labels.append(tokens.expect("name").text)
        tokens.take_if(",")
    return tuple(labels)


def _selector(tokens: _Tokens, name: str) -> Selector:
    matchers: list[Matcher] = []
    if tokens.take_if("{"):
        while not tokens.take_if("}"):
            label = tokens.expect("name").text
            operator = tokens.expect("=", "!=", "=~", "!~").text
            matchers.append(Matcher(label, operator, tokens.expect("text").text[1:-1]))
            tokens.take_if(",")
    range_s = tokens.take().seconds if tokens.next.kind == "range" else 0.0
    return Selector(name, tuple(matchers), range_s)
