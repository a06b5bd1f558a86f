"""What is transcribed: English recordings of a corpus with their texts, and sentences with rare names, synthesized."""

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
from faker import Faker
from whisper.tokenizer import get_encoding

from tests.support.clips import CLIPS
from tests.tools.benchmarks.espeak import VOICES, WORDS_PER_MINUTE, say

NAMES = (
    "Kowalczyk Siobhan Oyelaran Nakashima Thibodeaux Przybylski Adeyemi Bhattacharya Czerwinski Delacroix Eszterhazy "
    "Fitzwilliam Gudmundsson Hrbacek Ivanisevic Jankowski Kaczmarek Lindqvist Mkhitaryan Ngozi Okonkwo Papadopoulos "
    "Quispe Ranganathan Szymanski Tchaikovsky Ulvaeus Venkatesan Wojciech Xiomara Yevgenia Zubizarreta Kubernetes "
    "Grafana Ceftriaxone Apixaban"
).split()
SENTENCES = (
    "Please send the report about {} before noon.",
    "I think that {} is what we need for this project.",
)
RARE_FROM = 2  # tokens of Whisper's English models
LOCALES = "en_US en_GB en_IN de_DE fr_FR es_ES it_IT pt_BR nl_NL da_DK sv_SE pl_PL fi_FI".split()
WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


class Said(NamedTuple):
    """A recording, what is said in it, and the rare names among that."""

    path: Path
    text: str
    names: tuple[str, ...]


def of_corpus(folder: Path | None) -> list[Said]:
    """The English recordings of a folder with manifest.json, without copies in other formats; None: bundled clips."""
    if folder is None:
        return [Said(clip.path, clip.text, rare_names(clip.text)) for clip in CLIPS]
    chosen = (one for one in json.loads((folder / "manifest.json").read_text()) if _is_chosen(one))
    return [Said(folder / one["file"], one["transcript"], rare_names(one["transcript"])) for one in chosen]


def _is_chosen(entry: dict[str, Any]) -> bool:
    return entry.get("language") == "en" and bool(entry.get("usable_for_wer")) and entry["category"] != "format_variant"


def rare_names(text: str) -> tuple[str, ...]:
    """The words that have a capital inside a sentence, and many tokens; each as often as it is said."""
    encoding = get_encoding()
    sentences = re.split(r"(?<=[.!?:])\W+", text)
    words = (word for sentence in sentences for word in WORD.findall(sentence)[1:])
    return tuple(word for word in words if word.istitle() and len(encoding.encode(f" {word}")) >= RARE_FROM)


def synthesized(folder: Path) -> Iterator[Said]:
    """Each name in each sentence, with changing voices. The files are written into the folder."""
    chance = random.Random(7)
    for name in NAMES:
        for number, sentence in enumerate(SENTENCES):
            text = sentence.format(name)
            sound = say(text, chance.choice(VOICES), chance.choice(WORDS_PER_MINUTE))
            path = folder / f"{name}-{number}.flac"
            soundfile.write(path, sound.samples, sound.rate_hz)
            yield Said(path, text, (name,))


def unrelated_terms(count: int, seed: int, said: Sequence[Said]) -> tuple[str, ...]:
    """First, family and whole names of many countries, with no word that is said."""
    Faker.seed(seed)
    faker = Faker(LOCALES)
    known = {word.casefold() for one in said for word in WORD.findall(one.text)}
    found: dict[str, None] = {}
    while len(found) < count:
        for term in (faker.first_name(), faker.last_name(), f"{faker.first_name()} {faker.last_name()}"):
            if not known.intersection(word.casefold() for word in WORD.findall(term)):
                found[term] = None
    return tuple(found)[:count]
