"""Whisper's words become the service's options; wrong ones are named."""

import argparse
from pathlib import Path
from uuid import UUID

import pytest

from deploy.command.api import checked_url
from deploy.command.arguments import formats_of, left_to_the_service, normalized, options_of, parse, wanted_of
from deploy.command.errors import UsageError
from deploy.command.transcribe import Wanted, query_of
from shared.schemas.known_speakers import KnownSpeaker
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


def test_speakers_get_names() -> None:
    job_id = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"
    found = wanted("--speaker-name", "SPEAKER_00=Ann", "--known_speaker", f"Ben={job_id}", "--voices").options
    assert (found.diarize, found.voices, found.speaker_names) == (True, True, {"SPEAKER_00": "Ann"})
    assert found.known_speakers == (KnownSpeaker(name="Ben", job_id=UUID(job_id)),)
    for wrong in (["--speaker-name", "Ann=SPEAKER_00"], ["--known-speaker", "Ben=1"]):
        with pytest.raises(UsageError, match=wrong[0].removeprefix("--").replace("-", "_")):
            wanted(*wrong)


def test_key_terms_are_of_arguments_and_files(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_bytes("\ufeffSiobhan\r\n\n  Przybylski  \nKubernetes\n".encode())
    found = wanted("--keyterm", "Ngũgĩ wa Thiong'o", "--keyterm=Kubernetes", "--keyterms_file", str(names)).options
    assert found.keyterms == ("Ngũgĩ wa Thiong'o", "Kubernetes", "Siobhan", "Przybylski")

    replaced = wanted("--replace", "head race=Headrace", "--replace", "e equals=E = mc²").options
    assert replaced.replacements == {"head race": "Headrace", "e equals": "E = mc²"}
    assert (options().keyterms, options().replacements) == ((), {})


def test_wrong_key_terms_are_shown(tmp_path: Path) -> None:
    many, latin, long, large = (tmp_path / name for name in ("many.txt", "latin.txt", "long.txt", "large.txt"))
    many.write_text("".join(f"term {number}\n" for number in range(1001)))
    latin.write_bytes("Müller".encode("latin-1"))
    long.write_text("a" * 101)
    large.write_text("\n" * ((1 << 20) + 1))
    replacements = [part for number in range(1001) for part in ("--replace", f"a{number}=b")]
    for arguments, sentence in (
        (["--keyterms-file", str(many)], "1001 key terms.*at most 1000"),
        (["--keyterms-file", str(latin)], r"latin\.txt are not UTF-8"),
        (["--keyterms-file", str(long)], "'aaa.*no valid key term.*1 to 100 characters"),
        (["--keyterms-file", str(large)], "no file of key terms"),
        (["--keyterms-file", str(tmp_path / "none.txt")], r"Cannot read the key terms in .*none\.txt: No such file"),
        (["--keyterm", "two\nlines"], "no valid key term.*without control characters"),
        (["--keyterm", ""], "'' is no valid key term"),
        (["--keyterm", "M\udcfcller"], "not UTF-8"),
        (["--replace", "Headrace"], "must have a name, = and a value"),
        (["--replace", f"a={'b' * 101}"], "no valid replacement"),
        (replacements, "1001.*at most 1000"),
    ):
        with pytest.raises(UsageError, match=sentence):
            wanted(*arguments)


def test_what_a_format_adds_is_asked_for_that_format_alone() -> None:
    found = wanted("--highlight_words", "--paragraphs", "True", "--normalize", "--max_line_width=30", "-f", "all,html")

    assert found.formats == ("txt", "vtt", "srt", "tsv", "json", "html")
    assert query_of("vtt", found) == {"format": "vtt", "max_chars": "30", "words": "true", "normalize": "true"}
    assert query_of("json", found) == {"format": "json", "paragraphs": "true", "normalize": "true"}
    assert query_of("txt", found) == {"format": "txt", "normalize": "true"}
    assert query_of("srt", wanted()) == {"format": "srt"}


def test_a_document_is_not_printed() -> None:
    with pytest.raises(UsageError, match="docx"):
        wanted("-f", "docx", "-o", "-")
    assert wanted("-f", "docx", "-o", "out").formats == ("docx",)


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


def test_a_part_of_the_recording_and_of_the_work_is_asked_for() -> None:
    assert options("--start", "1:30", "--end", "00:02:00.5") == JobOptions(start=90, end=120.5, denoise=False)
    assert options("--diarize_only") == JobOptions(diarize=True, diarize_only=True, denoise=False)
    assert options("--detect-language-only", "true").detect_language_only
    with pytest.raises(UsageError, match="`end` must be after `start`"):
        options("--start", "90", "--end", "1:30")
