"""Whisper's words become the service's options; wrong ones are named."""

import argparse
from pathlib import Path

import pytest

from deploy.command.api import checked_url
from deploy.command.arguments import formats_of, left_to_the_service, normalized, options_of, parse, wanted_of
from deploy.command.errors import UsageError
from deploy.command.transcribe import Wanted
from shared.schemas.options import JobOptions


def wanted(*arguments: str) -> Wanted:
    return wanted_of(parse(["transcribe", "a.wav", *arguments]))


def options(*arguments: str) -> JobOptions:
    return options_of(parse(["transcribe", "a.wav", *arguments]))


def test_a_command_line_of_whisper_is_understood() -> None:
    line = "--model small.en --language English --task translate --output_format srt --output_dir out --fp16 False"
    chosen = parse(["transcribe", "a.wav", "b.wav", *line.split(), "--initial_prompt", "Ada Lovelace"])

    found = wanted_of(chosen)

    assert chosen.inputs == ["a.wav", "b.wav"]
    assert (found.formats, found.output_dir) == (("srt",), Path("out"))
    assert found.options == JobOptions(
        model="small.en", language="en", task="translate", prompt="Ada Lovelace", denoise=False
    )
    assert left_to_the_service(chosen) == ["--fp16"]


@pytest.mark.parametrize("joined", ["-", "_"])
def test_names_are_joined_by_either_sign(joined: str) -> None:
    arguments = ["--max_line_width=30", "--max_line_count", "1", "--word_timestamps", "False", "--min_speakers", "2"]
    written = [each.replace("_", joined) for each in arguments]

    found = wanted(*written)

    assert found.cue_size == {"max_chars": 30, "max_lines": 1}
    assert (found.options.word_timestamps, found.options.min_speakers, found.options.diarize) == (False, 2, True)


@pytest.mark.parametrize(
    ("written", "diarize"),
    [
        (["--diarize"], True),
        (["--diarize", "True"], True),
        (["--diarize", "false"], False),
        (["--diarize=no"], False),
        ([], False),
    ],
)
def test_a_switch_has_a_value_or_none(written: list[str], diarize: bool) -> None:  # noqa: FBT001 - a parameter
    chosen = parse(["transcribe", *written, "a.wav"])

    assert chosen.inputs == ["a.wav"]
    assert options_of(chosen).diarize is diarize


def test_an_unknown_option_is_named_with_the_help_of_its_command() -> None:
    with pytest.raises(UsageError, match=r"--langage.*headrace transcribe --help"):
        parse(["transcribe", "a.wav", "--langage=en"])


def test_arguments_behind_two_dashes_are_names() -> None:
    assert normalized(["--output_dir", "x_y", "--", "--my_file"]) == ["--output-dir", "x_y", "--", "--my_file"]
    assert parse(["transcribe", "-f", "srt", "--", "--my_file", "-x"]).inputs == ["--my_file", "-x"]


@pytest.mark.parametrize(("text", "code"), [("en-US", "en"), ("German", "de"), ("PT_br", "pt"), ("haw", "haw")])
def test_a_language_is_a_code_a_locale_or_a_name(text: str, code: str) -> None:
    assert options("--language", text).language == code


def test_a_detected_language_is_the_default() -> None:
    assert options().language is None
    assert options("--language", "auto").language is None


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("srt", ("srt",)),
        ("srt,vtt,srt", ("srt", "vtt")),
        ("all", ("txt", "vtt", "srt", "tsv", "json")),
        (".TXT", ("txt",)),
    ],
)
def test_formats(text: str, formats: tuple[str, ...]) -> None:
    assert formats_of(text) == formats


def test_whisper_writes_all_formats_unless_one_is_named() -> None:
    assert wanted().formats == ("txt", "vtt", "srt", "tsv", "json")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--output_format", "doc"], "doc"),
        (["--language", "klingon"], "language"),
        (["--model", "../x"], "model"),
        (["--num_speakers", "0"], "num_speakers"),
        (["--num_speakers", "2", "--max_speakers", "3"], "num_speakers"),
        (["--max_line_width", "5"], "10 to 200"),
        (["--max_line_count", "9"], "1 to 4"),
        (["--word_timestamps=maybe"], "maybe"),
        (["--task", "sing"], "task"),
        (["--jobs", "0"], "1 to 256"),
        (["--every", "-1"], "seconds"),
        (["--lang", "en"], "--lang"),
        (["--clip_timestamps", "0,5"], "--clip-timestamps"),
        (["-o", "-"], "-f"),
        (["-o", "-", "-f", "txt", "--watch"], "--watch"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named) as raised:
        wanted(*arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "arguments", [[], ["transcribe"], ["show"], ["redrive"], ["redrive", "a", "--all"], ["nonsense"]]
)
def test_missing_and_contradicting_arguments(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="--help"):
        parse(arguments)


@pytest.mark.parametrize("arguments", [["keys", "--json"], ["keys", "--json", "list"], ["keys", "list", "--json"]])
def test_an_option_stands_before_or_behind_the_action(arguments: list[str]) -> None:
    chosen: argparse.Namespace = parse(arguments)

    assert chosen.json is True


def test_an_empty_input_is_not_the_current_folder() -> None:
    with pytest.raises(UsageError, match="an input is empty"):
        parse(["transcribe", ""])


@pytest.mark.parametrize(
    "url", ["http://xn--/", "http://a\x00b/", "http://[::1", "ftp://a.example", "http://a.example:0"]
)
def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="must be http"):
        checked_url(url)
