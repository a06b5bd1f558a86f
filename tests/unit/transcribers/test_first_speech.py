"""The language is detected in the first seconds of speech."""

import pytest

from processor_service.compute.transcribe_sound import first_speech
from processor_service.transcribers.transcriber import Span


@pytest.mark.parametrize(
    ("speech", "first"),
    [
        ([], []),
        ([(3.0, 9.0)], [(3.0, 9.0)]),
        ([(3.0, 9.0), (50.0, 58.0), (90.0, 99.0)], [(3.0, 9.0), (50.0, 54.0)]),
        ([(3.0, 13.0), (20.0, 21.0)], [(3.0, 13.0)]),
    ],
)
def test_silences_do_not_count(speech: list[Span], first: list[Span]) -> None:
    assert first_speech(speech, 10.0) == first
