"""The two nets, loaded once per process when a job needs diarization."""

import functools
from pathlib import Path
from typing import NamedTuple

from processor_service.diarization.embedding_net import EmbeddingNet, load_embedding_net
from processor_service.diarization.segmentation_net import SegmentationNet, load_segmentation_net
from processor_service.diarization.weights import EMBEDDING, SEGMENTATION, SpeakerWeights, verify


class SpeakerNets(NamedTuple):
    """The net that finds speech of local speakers, and the net that embeds voices."""

    segmentation: SegmentationNet
    embedding: EmbeddingNet


@functools.lru_cache(maxsize=1)
def load_nets(weights: SpeakerWeights) -> SpeakerNets:
    """Verify the weights and load the nets, about 35 MB, which stay loaded. Raise ModelError."""
    return SpeakerNets(
        load_segmentation_net(verify(Path(weights.segmentation), SEGMENTATION)),
        load_embedding_net(verify(Path(weights.embedding), EMBEDDING)),
    )
