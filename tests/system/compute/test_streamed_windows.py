"""A real child sends the text of a chunk while it works, if the job asks for it."""

import msgspec
import pytest

from processor_service.compute.messages import ChunkProcessed, Reply, WindowTranscribed
from tests.system.compute.conftest import ANY, LONG, Model, Pool

pytestmark = pytest.mark.process


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_windows_come_before_the_answer_if_they_are_requested(
    started: Pool,
    model: Model,
    is_streamed: bool,  # noqa: FBT001
) -> None:
    request = model.request(seconds=25)
    options = msgspec.structs.replace(request.options, stream_windows=is_streamed)
    windows: list[WindowTranscribed] = []

    async def on_reply(reply: Reply) -> None:
        if isinstance(reply, WindowTranscribed):
            windows.append(reply)

    async with started() as pool, pool.slot() as slot:
        request = msgspec.structs.replace(request, options=options)
        answer = await slot.ask(request, ChunkProcessed, time_limit=LONG, writes=ANY, on_reply=on_reply)

    texts = [one.text for one in answer.transcript.segments]
    sent = [[one.text for one in window.segments] for window in windows]
    assert sent == ([texts[:2], texts[2:]] if is_streamed else [])
    assert [window.is_last for window in windows] == [False, True][: len(windows)]
