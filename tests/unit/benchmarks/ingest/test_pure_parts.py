"""Examples for the load generator's requests and answers, and for the figures."""

import hashlib
from contextlib import closing
from io import BytesIO

import pytest
from multipart import MultipartParser  # type: ignore[import-untyped] # the package has no types

from shared.media.sniff_container import sniff_container
from tests.tools.benchmarks.ingest.figures import RunFigures, fastest, percentile, ratio
from tests.tools.benchmarks.ingest.form_request import BOUNDARY, FormRequest
from tests.tools.benchmarks.ingest.http_answer import Answer, read_answer
from tests.tools.benchmarks.ingest.loads import GB, SMALL_BYTES, make_loads
from tests.tools.benchmarks.ingest.orders import Outcome
from tests.tools.benchmarks.ingest.put_load import join
from tests.tools.benchmarks.ingest.report import Runs, as_json, ratios, table
from tests.tools.benchmarks.ingest.upload_audio import BLOCK_BYTES, audio_pieces, audio_sha256, split_blocks, wav_header
from tests.tools.benchmarks.ingest.upload_client import rest_of

SIZES = [SMALL_BYTES, 44 + BLOCK_BYTES + 16, 5_000_000]


def _audio(number: int, audio_bytes: int) -> bytes:
    return b"".join(audio_pieces(number, audio_bytes))


@pytest.mark.parametrize("audio_bytes", SIZES)
def test_the_request_is_a_form_with_the_audio_of_the_uploads_number(audio_bytes: int) -> None:
    head, _, body = FormRequest("localhost", audio_bytes).whole(7).partition(b"\r\n\r\n")

    (part,) = MultipartParser(BytesIO(body), BOUNDARY, content_length=len(body))

    with closing(part):
        assert part.name == "audio_file"
        assert part.raw == _audio(7, audio_bytes)
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")


@pytest.mark.parametrize("audio_bytes", SIZES)
def test_the_audio_has_the_right_length_digest_and_container(audio_bytes: int) -> None:
    audio = _audio(3, audio_bytes)

    assert len(audio) == audio_bytes
    assert audio_sha256(3, audio_bytes) == hashlib.sha256(audio).hexdigest()
    assert sniff_container(audio[:8192]) == "wav"


def test_all_blocks_of_all_uploads_differ() -> None:
    _, *blocks = [*audio_pieces(1, 5_000_000), *list(audio_pieces(2, 5_000_000))[1:]]

    assert len({block[:16] for block in blocks}) == len(blocks) == 10


def test_sizes_over_four_gibibytes_have_the_unknown_size_in_the_header() -> None:
    assert wav_header(5 * GB)[4:8] == wav_header(5 * GB)[40:44] == b"\xff\xff\xff\xff"


def test_a_size_too_small_for_the_last_stamp_is_rejected() -> None:
    with pytest.raises(ValueError, match="too small"):
        split_blocks(44 + BLOCK_BYTES + 15)


def test_the_sizes_of_all_loads_fit_the_last_stamp() -> None:
    for load in make_loads(10, 1000, 10_000, 20, 5 * GB):
        split_blocks(load.audio_bytes)


@pytest.mark.parametrize("sent", range(7))
def test_unsent_bytes_remain(sent: int) -> None:
    left = rest_of([b"", b"ab", memoryview(b"cde"), b"f"], sent)

    assert b"".join(bytes(buffer) for buffer in left) == b"abcdef"[sent:]


ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\n\r\n{"job_id":"abc"}'


def test_an_answer_is_returned_once_complete() -> None:
    assert [read_answer(ACCEPTED[:end]) for end in range(len(ACCEPTED))] == [None] * len(ACCEPTED)
    assert read_answer(ACCEPTED) == Answer(202, "abc", closes=False)


def test_a_rejection_has_no_job_and_may_close_the_connection() -> None:
    rejection = b'HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 16\r\n\r\n{"job_id":"abc"}'

    assert read_answer(rejection) == Answer(503, None, closes=True)


@pytest.mark.parametrize(
    "received", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n"]
)
def test_bytes_that_are_not_an_answer_raise(received: bytes) -> None:
    with pytest.raises(ValueError, match="not an answer"):
        read_answer(received)


def test_percentiles_use_the_nearest_rank() -> None:
    hundred = [float(number) for number in range(1, 101)]

    assert [percentile(hundred, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert [percentile([5.0], percent) for percent in (50, 99, 100)] == [5, 5, 5]
    assert percentile([], 50) is None


def test_a_ratio_compares_the_same_repeat_and_has_a_spread() -> None:
    assert ratio([20.0, 30.0, 10.0], [10.0, 10.0, 10.0]) == (2.0, 1.0, 3.0)
    assert ratio([20.0, 30.0, None], [None, 10.0, 10.0]) == (3.0, 3.0, 3.0)
    assert ratio([0.0, 30.0], [10.0, 0.0]) == (0.0, 0.0, 0.0)
    assert ratio([20.0], []) is None


def test_the_fastest_has_the_highest_median() -> None:
    assert fastest([[1.0, 1.0, 99.0], [2.0, 3.0, None], [None]]) == [2.0, 3.0, None]
    assert fastest([]) == ()


def test_the_generators_outcomes_are_merged() -> None:
    first, second = (
        Outcome(
            accepted=[(number, str(number))],
            latencies_s=[0.1],
            errors={"status 503": 1},
            started_s=float(number),
            ended_s=number + 5.0,
            cpu_s=1.0,
            most_open=3,
        )
        for number in (1, 2)
    )

    joined = join([first, second])

    assert (joined.started_s, joined.ended_s, joined.cpu_s, joined.most_open) == (1, 7, 2, 6)
    assert (joined.accepted, joined.errors) == ([(1, "1"), (2, "2")], {"status 503": 2})


def _run(uploads_per_s: float, **changes: object) -> RunFigures:
    figures: dict[str, object] = dict.fromkeys(RunFigures.__struct_fields__, 1.0)
    return RunFigures(**(figures | {"errors": {}, "faults": {}, "uploads_per_s": uploads_per_s} | changes))  # type: ignore[arg-type] # all other fields are floats


def test_the_ratio_to_the_usual_stack_uses_the_faster_variant() -> None:
    runs = {"headrace": [_run(60.0)], "usual": [_run(20.0)], "usual-async": [_run(30.0)], "bare": [_run(120.0)]}

    assert ratios("headrace", runs) == {"usual": (2.0, 2.0, 2.0), "bare": (0.5, 0.5, 0.5)}


def test_a_failed_run_has_no_figures_and_is_excluded_from_ratios() -> None:
    runs: Runs = {
        "headrace": [_run(60.0), _run(40.0, errors={"status 503": 2})],
        "usual": [None, _run(20.0)],
        "bare": [None],
    }
    lines = table(runs).splitlines()

    assert lines[1].split()[-5:] == ["2", "0", "2.00", "(2.00-2.00)", "-"]
    assert lines[3].split() == ["bare", *["-"] * 16]
    assert as_json(runs)["headrace"]["ratios"]["usual"] == {"median": 2.0, "least": 2.0, "most": 2.0}
