"""The names of models that OpenAI's clients send, and the installed models that they stand for."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

# `name=model` or `name=model+diarize`; the model `default` is the processor's own.
ModelAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}=[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\+diarize)?$(?!\n)",
        description="`name=model` or `name=model+diarize`, such as `whisper-1=large-v3`",
    ),
]
DEFAULT = "default"
DIARIZE = "+diarize"
DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # of a dated name, such as gpt-4o-mini-transcribe-2025-12-15
FAMILY = re.compile(r"^(faster-)?(distil-)?whisper-")  # of a repository, such as Systran/faster-whisper-small


class ChosenModel(NamedTuple):
    """What a name stands for. `model` None is the processor's default."""

    model: str | None = None
    diarize: bool = False
    is_known: bool = True


BUILT_IN: Mapping[str, ChosenModel] = {
    "whisper-1": ChosenModel(),
    "gpt-transcribe": ChosenModel(),
    "gpt-4o-transcribe": ChosenModel(),
    "gpt-4o-mini-transcribe": ChosenModel(),
    "gpt-4o-transcribe-diarize": ChosenModel(diarize=True),
    "large-v3": ChosenModel(),
    "whisper-large-v3": ChosenModel(),
}


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """A model, as OpenAI's API lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/v1/models`."""

    object: Literal["list"] = "list"
    data: tuple[ModelObject, ...]


class Models:
    """The aliases, and the models that processors announce. `installed` returns those that are known now."""

    def __init__(self, aliases: Collection[str], installed: Callable[[], Collection[str]]) -> None:
        self._aliases = {**BUILT_IN, **dict(map(parse_alias, aliases))}
        self._installed = installed

    def choose(self, name: str) -> ChosenModel:
        """Return what a client's name stands for. An unknown name stands for the processor's default model."""
        installed = {model.lower(): model for model in self._installed()}
        for candidate in spellings(name):
            if candidate in installed:
                return ChosenModel(installed[candidate])
            if candidate in self._aliases:
                return self._aliases[candidate]
        return ChosenModel(is_known=name in {"", DEFAULT})

    def names(self) -> list[str]:
        """Return all names, aliases first."""
        return list(dict.fromkeys([*self._aliases, *sorted(self._installed())]))


def parse_alias(text: str) -> tuple[str, ChosenModel]:
    """Parse an entry of HEADRACE_MODEL_ALIASES."""
    name, _, target = text.partition("=")
    model = target.removesuffix(DIARIZE)
    return name.lower(), ChosenModel(None if model == DEFAULT else model, diarize=target.endswith(DIARIZE))


def spellings(name: str) -> list[str]:
    """Return the name in lower case, without its date, without its owner, and without its family."""
    whole = name.strip().lower()
    undated = DATE.sub("", whole)
    ownerless = undated.rpartition("/")[2]
    return list(dict.fromkeys([whole, undated, ownerless, FAMILY.sub("", ownerless)]))
