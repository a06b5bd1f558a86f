"""Says in a sentence what a value must be, for refusals. Pure.

The sentence follows from the type. msgspec's own messages show regular expressions and internal names, and repeat the
value, which may be a secret in the wrong field.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

PATH = re.compile(r" - at `\$(.*)`\Z", re.DOTALL)
STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[[^\]]*\]")
FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*?)`", re.DOTALL)
MAX_SHOWN_CHARS = 64  # of a client's field name


def allowed(hint: Any) -> str:
    """Return what a value of a type must be: the end of a sentence that begins with "must be"."""
    return _allowed(inspect.type_info(hint))


def allowed_each(hint: Any) -> str:
    """Return what each value must be, for a parameter that may be repeated if its type is a list."""
    kind = inspect.type_info(hint)
    return _allowed(getattr(_plain(kind), "item_type", kind))


def why_refused(error: msgspec.ValidationError, hint: Any) -> str:
    """Return why a value of a type is refused: a sentence that names the field and says what it must be."""
    if isinstance(error.__cause__, ValueError) and not isinstance(error.__cause__, msgspec.MsgspecError):
        return str(error.__cause__)  # a rule of the Struct, in our words
    text = str(error)
    found = PATH.search(text)
    names, kind = _follow(found[1] if found else "", inspect.type_info(hint))
    path = ".".join(names)
    if field := FIELD.match(text):
        return _why_no_field(field, path, kind)
    return f"`{path}` must be {_allowed(kind)}" if path else f"The value must be {_allowed(kind)}"


def _why_no_field(found: re.Match[str], path: str, kind: Any) -> str:
    name = f"{path}.{found[2]}".removeprefix(".")[:MAX_SHOWN_CHARS]
    fields = {field.encode_name: field for field in _plain(kind).fields}
    if found[1] == "missing required":
        return f"`{name}` is missing. It must be {_allowed(fields[found[2]].type)}"
    return f"`{name}` is not a field. Fields: {', '.join(fields)}"


def _follow(path: str, kind: Any) -> tuple[list[str], Any]:
    """Return the names along a path of msgspec, and the type at its end."""
    names: list[str] = []
    for step in STEP.finditer(path):
        plain = _plain(kind)
        if step[1] and isinstance(plain, inspect.StructType):
            names.append(step[1])
            kind = next(field.type for field in plain.fields if field.encode_name == step[1])
        elif not step[1] and hasattr(plain, "item_type"):
            kind = plain.item_type
        else:
            break
    return names, kind


def _plain(kind: Any) -> Any:
    """Return a type without its description and without None."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _plain(others[0]) if len(others) == 1 else kind
    return kind


def _allowed(kind: Any) -> str:  # noqa: C901, PLR0911, PLR0912 - a branch for each kind of type
    match kind:
        case inspect.Metadata():
            return _described(kind)
        case inspect.UnionType(types=types):
            return " or ".join(_allowed(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.BoolType():
            return "`true` or `false`"
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.StrType():
            return f"text{_length(kind, 'character')}"
        case inspect.LiteralType(values=values):
            return _one_of(values)
        case inspect.EnumType(cls=cls):
            return _one_of(member.value for member in cls)
        case inspect.DateType():
            return "a date such as `2026-01-31`"
        case inspect.DateTimeType():
            return "a time with its zone, such as `2026-01-31T12:00:00Z`"
        case inspect.UUIDType():
            return "a UUID"
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list{_length(kind, 'item')}, each {_allowed(kind.item_type)}"
        case inspect.StructType(fields=fields):
            return f"an object with the fields {', '.join(field.encode_name for field in fields)}"
        case inspect.DictType():
            return "a JSON object"
        case inspect.CustomType():
            return "text"  # a Secret
        case _:
            return "valid JSON"


def _described(kind: inspect.Metadata) -> str:
    """A pattern and a type of our own say nothing: their description does."""
    schema = kind.extra_json_schema or {}
    plain = _plain(kind)
    needs_words = isinstance(plain, inspect.CustomType) or (isinstance(plain, inspect.StrType) and plain.pattern)
    if needs_words and "description" in schema:
        return str(schema["description"])
    return _one_of(schema["enum"]) if "enum" in schema else _allowed(kind.type)


def _one_of(values: Iterable[Any]) -> str:
    *others, last = [f"`{value}`" for value in values]
    return f"{', '.join(others)} or {last}" if others else last


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    least = kind.ge if kind.ge is not None else kind.gt
    if least is not None and kind.le is not None:
        return (
            f" from {_number(least)} to {_number(kind.le)}"
            if kind.gt is None
            else (f" above {_number(least)}, at most {_number(kind.le)}")
        )
    if least is not None:
        return f" of at least {_number(least)}" if kind.gt is None else f" above {_number(least)}"
    return "" if kind.le is None else f" of at most {_number(kind.le)}"


def _number(value: float) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _length(kind: Any, unit: str) -> str:
    least, most = kind.min_length, kind.max_length
    if least and most is not None:
        return f" of {least} to {most} {unit}s"
    if least:
        return f" of at least {least} {unit}{'s' if least > 1 else ''}"
    return "" if most is None else f" of at most {most} {unit}s"
