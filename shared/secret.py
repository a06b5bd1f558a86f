"""Text that must appear in no log line, message or repr: passwords, keys, and URLs that contain one."""

from typing import Any


class Secret:
    """Hides its text. Call `reveal` only where the text is used."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(…)" if self._text else "Secret()"


def encode_secret(value: Any) -> str:
    """msgspec's `enc_hook`: write a Secret as its text."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value))


def decode_secret(wanted: type, value: Any) -> Secret:
    """msgspec's `dec_hook`: read a Secret from text. ValueError for anything else."""
    if wanted is not Secret:
        raise NotImplementedError(wanted)
    if not isinstance(value, str):
        raise ValueError("Expected `str`")  # noqa: TRY004 - msgspec reports a ValueError as a validation error
    return Secret(value)


def secret_schema(wanted: type) -> dict[str, Any]:
    """msgspec's `schema_hook`: a Secret is a string in JSON."""
    if wanted is Secret:
        return {"type": "string"}
    raise NotImplementedError(wanted)


def repr_hiding(struct: Any, *hidden: str) -> str:
    """The repr of a Struct without the values of these fields, which JSON or a library needs as text."""
    shown = (f"{name}={'…' if name in hidden else repr(getattr(struct, name))}" for name in struct.__struct_fields__)
    return f"{type(struct).__name__}({', '.join(shown)})"
