"""The arguments of `headrace`. Parse and check; no effects.

`transcribe` takes whisper's words, joined by `-` or `_`. What only the service can decide, such as whisper's
`--device`, is accepted and named in a note.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

import msgspec

from deploy.command.errors import UsageError
from deploy.command.key_terms import add_key_terms, key_terms_of
from deploy.command.outputs import FORMATS, MORE_FORMATS, STDOUT
from deploy.command.sources import expanded
from deploy.command.transcribe import Wanted
from deploy.command.values import TRUTH, input_of, is_text, pair, seconds, truth, whole
from deploy.command.watcher.arguments import add_watch
from shared.schemas.languages import find_language
from shared.schemas.options import JobOptions
from shared.schemas.redaction import ALL_KINDS
from shared.schemas.states import JobStatus
from shared.schemas.summary import SUMMARY_OPTIONS

ALL = "all"
SWITCHES = frozenset(
    f"--{name}"
    for name in (
        "word-timestamps diarize diarize-only detect-language-only voices summary chapters action-items "
        "highlight-words normalize paragraphs"
    ).split()
)  # whisper wants a value, other tools none: both are right
LINE_COLUMNS = range(10, 201)
LINES_OF_CUE = range(1, 5)
# whisper's options about how a model runs.
LEFT_TO_THE_SERVICE = (
    "device threads fp16 model_dir verbose temperature best_of beam_size patience length_penalty suppress_tokens "
    "suppress_regex condition_on_previous_text carry_initial_prompt temperature_increment_on_fallback "
    "compression_ratio_threshold logprob_threshold no_speech_threshold prepend_punctuations append_punctuations "
    "max_words_per_line hallucination_silence_threshold"
).split()
EXIT_STATUS = "exit status: 0 all done, 1 something failed, 2 usage, 130 interrupted"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See: {self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments. Raise UsageError."""
    chosen, unknown = _parser().parse_known_args(normalized(arguments))
    if unknown:
        raise UsageError(f"Unknown arguments: {' '.join(unknown)}. See: headrace {chosen.command} --help")
    return chosen


def normalized(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `-` in the names of options, and with a value for each switch."""
    found: list[str] = []
    for number, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[number:]]
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
        found.append(name + equals + value)
        following = arguments[number + 1].lower() if number + 1 < len(arguments) else ""
        if name in SWITCHES and not equals and following not in TRUTH:
            found[-1] = f"{name}=true"
    return found


def _parser() -> _Parser:
    parser = _Parser(prog="headrace", description="Transcribe audio with Headrace.", epilog=EXIT_STATUS)
    parser.add_argument("--version", action="version", version=f"headrace {version('headrace')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    common = _common()
    _add_transcribe(commands, common)
    add_watch(_add(commands, common, "watch", "turn each file that comes into a folder or bucket into a job"))
    _add_jobs(commands, common)
    _add_operations(commands, common)
    return parser


def _common(default: str | None = None) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=default)
    of_service = common.add_argument_group("service")
    of_service.add_argument("--url", help="its address (HEADRACE_URL; http://127.0.0.1:8000)")
    of_service.add_argument("--api-key", metavar="KEY", help="better in HEADRACE_API_KEY: other users see arguments")
    common.add_argument("--json", action="store_true", default=default or False, help="print JSON, one object a line")
    return common


def _add(commands: Any, common: argparse.ArgumentParser, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, parents=[common], help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    return parser


def _add_transcribe(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _add(commands, common, "transcribe", "transcribe files, folders and URLs, and write the transcripts")
    parser.epilog = f"Options may be joined by _ as whisper's are. {EXIT_STATUS}"
    parser.add_argument("inputs", nargs="+", type=input_of, metavar="FILE|FOLDER|URL")
    _add_outputs(parser.add_argument_group("outputs"))
    _add_recognition(parser.add_argument_group("recognition"))
    _add_work(parser.add_argument_group("work"))
    for name in LEFT_TO_THE_SERVICE:
        parser.add_argument(f"--{name.replace('_', '-')}", help=argparse.SUPPRESS)


def _add_outputs(group: Any) -> None:
    formats = f"{', '.join((*FORMATS, *MORE_FORMATS))}; several with commas; {ALL} (default): {', '.join(FORMATS)}"
    group.add_argument("-f", "--output-format", default=ALL, metavar="FORMAT", help=formats)
    group.add_argument("-o", "--output-dir", metavar="DIR", help="default: beside each file; - prints one format")
    group.add_argument("--max-line-width", type=whole(LINE_COLUMNS), metavar="N", help="columns of a subtitle line")
    group.add_argument("--max-line-count", type=whole(LINES_OF_CUE), metavar="N", help="lines of a subtitle")
    for name, text in (
        ("highlight-words", "srt, vtt, lrc: show each word at its time"),
        ("normalize", "write numbers with digits"),
        ("paragraphs", "json: also paragraphs with their sentences"),
    ):
        group.add_argument(f"--{name}", type=truth, default=False, metavar="BOOL", help=text)


def _add_recognition(group: Any) -> None:
    group.add_argument("--model", help="a model of the service")
    group.add_argument("--language", help="a code or an English name; default: detected")
    group.add_argument(
        "--task", choices=("transcribe", "translate"), default="transcribe", help="translate: to English"
    )
    group.add_argument("--initial-prompt", metavar="TEXT", help="text before the recording, such as names")
    add_key_terms(group)
    group.add_argument("--word-timestamps", type=truth, metavar="BOOL", help="the times of words (default: true)")
    group.add_argument("--diarize", type=truth, default=False, metavar="BOOL", help="name the speakers")
    for name, text in (
        ("diarize-only", "only who speaks when: rttm, json"),
        ("detect-language-only", "only the language: json"),
    ):
        group.add_argument(f"--{name}", type=truth, default=False, metavar="BOOL", help=text)
    for name in SUMMARY_OPTIONS:
        text = f"ask a chat provider for {'a ' if name == 'summary' else ''}{name.replace('_', ' ')}"
        group.add_argument(f"--{name.replace('_', '-')}", type=truth, default=False, metavar="BOOL", help=text)
    for name in ("start", "end"):
        group.add_argument(
            f"--{name}", metavar="TIME", help="of the part: seconds or hh:mm:ss; times stay those of the file"
        )
    group.add_argument("--redact", metavar="KINDS", help=f"replace personal data: {ALL_KINDS}; several with commas")
    group.add_argument("--profanity", choices=("keep", "mask"), default="keep", help="mask: f***")
    for name in ("num", "min", "max"):
        group.add_argument(f"--{name}-speakers", type=int, metavar="N", help="implies --diarize")
    group.add_argument(
        "--speaker-name", action="append", type=pair, metavar="LABEL=NAME", help="such as SPEAKER_00=Ann; repeatable"
    )
    group.add_argument(
        "--known-speaker", action="append", type=pair, metavar="NAME=JOB", help="whose voice a job has; repeatable"
    )
    group.add_argument("--voices", type=truth, default=False, metavar="BOOL", help="find the voices that you keep")


def _add_work(group: Any) -> None:
    group.add_argument("-j", "--jobs", type=whole(range(1, 257)), default=8, metavar="N", help="sources at once (8)")
    group.add_argument("--force", action="store_true", help="also transcribe what is up to date")
    group.add_argument("--erase", action="store_true", help="erase audio and transcript on the service when written")
    group.add_argument("--watch", action="store_true", help="stay, and transcribe what comes into the folders")
    group.add_argument(
        "--every", type=seconds, default=2.0, metavar="S", help="seconds between two scans of --watch (2)"
    )


def _add_jobs(commands: Any, common: argparse.ArgumentParser) -> None:
    jobs = _add(commands, common, "jobs", "list jobs, newest first")
    jobs.add_argument("--status", type=str.upper, choices=[each.value for each in JobStatus], metavar="STATUS")
    jobs.add_argument("--limit", type=whole(range(1, 1_000_001)), default=50, metavar="N", help="at most N (50)")
    for name, text, several in (
        ("show", "show a job", False),
        ("events", "follow a job to its end", False),
        ("cancel", "cancel jobs", True),
        ("delete", "erase jobs: audio, transcript, metadata", True),
    ):
        _add(commands, common, name, text).add_argument("job", nargs="+" if several else None, metavar="JOB")


def _add_operations(commands: Any, common: argparse.ArgumentParser) -> None:
    letters = _add(commands, common, "dead-letters", "list tasks that failed permanently, oldest first")
    letters.add_argument("--code", metavar="CODE", help="those that failed with this code")
    redrive = _add(commands, common, "redrive", "start failed jobs again")
    which = redrive.add_mutually_exclusive_group(required=True)
    which.add_argument("job", nargs="*", default=[], metavar="JOB")
    which.add_argument("--all", action="store_true", help="all dead letters")
    which.add_argument("--code", metavar="CODE", help="those that failed with this code")
    for parser in (letters, redrive):
        parser.add_argument("--tenant", help="with the operator's key: another tenant, or * for all")
    usage = _add(commands, common, "usage", "show what was used by day, and the quotas")
    usage.add_argument("--from", dest="first", metavar="YYYY-MM-DD")
    usage.add_argument("--to", dest="last", metavar="YYYY-MM-DD")
    keys = _add(commands, common, "keys", "list, create and revoke API keys")
    actions = keys.add_subparsers(dest="action", metavar="ACTION")
    common = _common(argparse.SUPPRESS)  # what was given before the action counts
    _add(actions, common, "list", "list keys (default)")
    create = _add(actions, common, "create", "create a key, and print it once")
    create.add_argument("--scopes", required=True, help="of submit,read,observe,admin")
    create.add_argument("--purpose", default="default")
    create.add_argument("--expires-days", type=int, metavar="N")
    _add(actions, common, "revoke", "revoke keys").add_argument("key", nargs="+", metavar="KEY_ID")


def wanted_of(chosen: argparse.Namespace) -> Wanted:
    """Return what to make of each source. Raise UsageError."""
    size = {"max_chars": chosen.max_line_width, "max_lines": chosen.max_line_count}
    formats = formats_of(chosen.output_format)
    output_dir = None if chosen.output_dir is None else expanded(chosen.output_dir)
    if output_dir == STDOUT and (len(formats) > 1 or chosen.json or chosen.watch):
        raise UsageError("`-o -` prints one format: choose it with -f, without --json and --watch")
    if output_dir == STDOUT and "docx" in formats:
        raise UsageError("`-o -` prints text, and docx is none: choose a folder")
    return Wanted(
        options=options_of(chosen),
        formats=formats,
        output_dir=output_dir,
        cue_size={name: value for name, value in size.items() if value is not None},
        words=chosen.highlight_words,
        normalize=chosen.normalize,
        paragraphs=chosen.paragraphs,
        jobs_at_once=1 if output_dir == STDOUT else chosen.jobs,
        force=chosen.force,
        erase=chosen.erase,
        as_json=chosen.json,
    )


def formats_of(text: str) -> tuple[str, ...]:
    """Return the formats, each once. Raise UsageError."""
    names = [each.strip().lower().removeprefix(".") for each in text.split(",")]
    unknown = [each for each in names if each not in {*FORMATS, *MORE_FORMATS, ALL}]
    if unknown:
        raise UsageError(
            f"There is no output format {unknown[0]!r}. Choose of {', '.join((*FORMATS, *MORE_FORMATS, ALL))}"
        )
    return tuple(dict.fromkeys(one for name in names for one in (FORMATS if name == ALL else (name,))))


def options_of(chosen: argparse.Namespace) -> JobOptions:
    """Return the job's options. Raise UsageError."""
    speakers = _speakers_of(chosen)
    given: dict[str, Any] = {
        "task": chosen.task,
        "model": chosen.model,
        "language": None if chosen.language in {None, "auto"} else find_language(chosen.language) or chosen.language,
        "prompt": chosen.initial_prompt or None,
        "diarize": chosen.diarize or any(speakers.values()),
        "redact": chosen.redact,
        "profanity": chosen.profanity,
        "denoise": False,  # no denoised recording is fetched
        "diarize_only": chosen.diarize_only,
        "detect_language_only": chosen.detect_language_only,
        "start": chosen.start,
        "end": chosen.end,
        **speakers,
        **key_terms_of(chosen),
        **{name: getattr(chosen, name) for name in SUMMARY_OPTIONS},
    }
    if chosen.word_timestamps is not None:
        given["word_timestamps"] = chosen.word_timestamps
    if not is_text(given["prompt"] or ""):
        raise UsageError("`--initial-prompt` is not UTF-8")
    try:
        return msgspec.convert(given, JobOptions)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{str(error).replace(' - at `$.', ': `').replace('`prompt`', '`--initial-prompt`')}"
        ) from None


def _speakers_of(chosen: argparse.Namespace) -> dict[str, Any]:
    return {
        **{name: getattr(chosen, name) for name in ("num_speakers", "min_speakers", "max_speakers")},
        "speaker_names": dict(chosen.speaker_name) if chosen.speaker_name else None,
        "known_speakers": [{"name": name, "job_id": job_id} for name, job_id in chosen.known_speaker or ()],
        "voices": chosen.voices,
    }


def left_to_the_service(chosen: argparse.Namespace) -> list[str]:
    """Return whisper's options that were given and change nothing."""
    return [f"--{name}" for name in LEFT_TO_THE_SERVICE if getattr(chosen, name) is not None]
