"""No log line and no stored traceback holds a secret, whatever text an exception has."""

import json
import logging
import traceback

import pytest

from processor_service.tasks.failures import failure_of
from shared.telemetry.logs import ConsoleFormatter, JsonFormatter
from shared.telemetry.redact import redact

MARK = "s3cr3tM4rk"
TEXTS = [
    f"invalid input for query argument $6: 'whsec_{MARK}+/=='",
    f"hr_0123456789abcdef_{MARK}-x_y",
    f"Cookie: headrace_session=hr_s0123456789abcdef_{MARK}-x_y",
    f"Authorization: Bearer {MARK}abcd",
    f"authorization: basic {MARK}abcd=",
    f"cannot connect to https://user:{MARK}@host.example/x",
    f"cannot connect to 'postgresql://{MARK}@db/x'",
    f"GET https://bucket.example/a.wav?X-Amz-Signature={MARK}&b=1 failed",
    f'{{"url": "https://bucket.example/a.wav?sig={MARK}"}}',
    f"redis://:p@ss{MARK}@redis:6379/0",
    f"postgresql://a@db/x,redis://:{MARK}@redis/0",
    f"redis://:with/slash{MARK}@redis/0",
    f"https://app.example/cb#access_token={MARK}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_is_removed_and_the_rest_stays(text: str) -> None:
    assert MARK not in redact(text)
    assert "…" in redact(text)


@pytest.mark.parametrize(
    "text", ["", "a basic idea", "see https://docs.example/page", "three_words", "http://h/p 200", "bearer of news"]
)
def test_other_text_is_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("sign", ["http://", "://", "a://x?", "a://b@", "whsec_", "hr_", "bearer ", "basic", "a"])
def test_long_text_takes_no_long_time(sign: str) -> None:
    redact(f"x://{sign * 100_000}")  # a quadratic expression needs minutes
    redact(f"{sign * 100_000}://")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()], ids=["json", "console"])
def test_no_formatter_shows_a_secret(formatter: logging.Formatter, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, text, None, trace)
    record.fields = {"error": text, "traceback": text}
    line = formatter.format(record)
    assert MARK not in line
    if isinstance(formatter, JsonFormatter):
        assert json.loads(line)["level"] == "ERROR"


@pytest.mark.parametrize("text", TEXTS)
def test_no_stored_failure_has_a_secret(text: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError(text)
    assert MARK in "".join(traceback.format_exception(caught.value))
    failure = failure_of(caught.value)
    assert MARK not in failure.traceback + failure.message
