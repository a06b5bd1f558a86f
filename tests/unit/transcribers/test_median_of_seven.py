import pytest
import torch
from whisper.timing import median_filter

from processor_service.transcribers.word_times import MEDIAN_WIDTH, median_of_seven


@pytest.mark.parametrize("frames", [1, 3, 4, 7, 8, 500])
def test_equals_the_filter_of_whisper(frames: int) -> None:
    values = torch.randn(3, 5, frames, generator=torch.Generator().manual_seed(frames))
    assert torch.equal(median_of_seven(values), median_filter(values, MEDIAN_WIDTH))
