"""Which `Prefer` headers ask to wait, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.routes.prefer import MAX_WAIT_S, wanted_wait_s


def wait_of(*values: str) -> int | None:
    return wanted_wait_s([(b"accept", b"wait=3"), *((b"prefer", value.encode("latin-1")) for value in values)])


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["wait=5"], 5),
        (["Wait = 5"], 5),
        (['wait="5"'], 5),
        (["wait=05"], 5),
        (["wait=5; foo=bar"], 5),
        (["respond-async, wait=10"], 10),
        (["respond-async", "handling=lenient; x, wait=10"], 10),
        (['foo="a, wait=3; \\" b", wait=7'], 7),
        (["wait=60"], 60),
        (["wait=61"], MAX_WAIT_S),
        (["wait=" + "9" * 5000], MAX_WAIT_S),
        (["wait=5, wait=9"], 5),
        (["wait=x, wait=9"], None),
        ([], None),
        ([""], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=0"], None),
        (["wait=-5"], None),
        (["wait=1.5"], None),
        (["wait=5s"], None),
        (["wait=\xb2"], None),
        (["await=5"], None),
        (["x-wait=5"], None),
        (["return=minimal"], None),
        (['foo="wait=5'], None),
    ],
)
def test_wait(values: list[str], seconds: int | None) -> None:
    assert wait_of(*values) == seconds


@given(st.text(alphabet='wait=0123456789,;" \\x', max_size=40))
def test_any_header_is_read(value: str) -> None:
    assert wait_of(value) in {None, *range(1, MAX_WAIT_S + 1)}
