import msgspec
import pytest

from shared.schemas.options import JobOptions


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"redact": "card,faces"}, "`redact` must be one or more of iban, card"),
        ({"redact_audio": "tone"}, "`redact_audio` needs `redact`"),
        ({"redact_keep_original": True}, "`redact_keep_original` needs `redact`"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        msgspec.convert(options, JobOptions)


def test_kinds_are_read_once_each() -> None:
    assert JobOptions(redact="card,phone,card").redacted_kinds == ("card", "phone")
    assert JobOptions().redacted_kinds == ()
    assert not JobOptions().changes_text
    assert JobOptions(profanity="mask").changes_text


def test_defaults_are_not_stored() -> None:
    assert msgspec.json.encode(JobOptions(redact_audio="none", profanity="keep")) == b"{}"
