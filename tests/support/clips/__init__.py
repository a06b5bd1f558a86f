"""Clips of real speech and what is said in them; licences in ATTRIBUTION.md."""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Clip(NamedTuple):
    path: Path
    text: str


JFK = Clip(
    FOLDER.parents[2] / "deploy/local/jfk.flac",
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country",
)
GUTENBERG = Clip(
    FOLDER / "LJ001-0007.flac",
    "the earliest book printed with movable types, the Gutenberg, or forty-two line Bible of about 1455,",
)
PICTURE_BOOKS = Clip(
    FOLDER / "LJ001-0010.flac",
    "Now, as all books not primarily intended as picture-books consist principally of types composed to form "
    "letterpress,",
)
NARRATIVE = Clip(
    FOLDER / "ls_2412-153948-0000.flac",
    "If the reader will excuse me, I will say nothing of my antecedents nor of the circumstances which led me to leave "
    "my native country. The narrative would be tedious to him and painful to myself.",
)
WIZARD = Clip(
    FOLDER / "mfa_61-70968-0000.flac",
    "He began a confused complaint against the wizard who had vanished behind the curtain on the left.",
)
CLIPS = (JFK, GUTENBERG, PICTURE_BOOKS, NARRATIVE, WIZARD)
# In Spanish, so not one of CLIPS.
SPANISH = Clip(
    FOLDER / "mls_13697_11991_000000.opus",
    "La sorpresa y el disgusto que produjo a Wentworth la substitución de una cuñada por otra, el gesto que se dibujó "
    "en su fisonomía, el asombro que manifestó y las palabras a duras penas reprimidas que asomaron a sus labios "
    "mientras le hablaba Carlos.",
)
# Made by eSpeak NG: see tests/tools/benchmarks/espeak.py. Not human speech, so not one of CLIPS.
MADE_UP_CALL = Clip(
    FOLDER / "made_up_call.flac",
    "Thank you for calling. What is the card number, please? My card number is four one one one, two two two two, "
    "three three three three, four four four five. Thanks. And what is your phone number? You can call me at two one "
    "two, five five five, zero one four two. Thank you.",
)
