"""A child's output for one request never gets into the failure of the next request, which may be another tenant's."""

import asyncio

from processor_service.compute.child_process import StandardError


async def test_output_of_an_earlier_request_is_forgotten() -> None:
    stream = asyncio.StreamReader()
    output = StandardError(stream, 1)
    stream.feed_data(b"words of one tenant\n")
    assert await output.tail() == "words of one tenant"
    output.forget()
    stream.feed_data(b"Segmentation fault\n")
    stream.feed_eof()
    assert await output.tail() == "Segmentation fault"
