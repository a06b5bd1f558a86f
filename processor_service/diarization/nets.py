"""The two nets together, loaded once a process and only when a file's speakers are asked for."""

import functools
from pathlib import Path
from typing import NamedTuple

from processor_service.diarization.embedding_net import EmbeddingNet, load_embedding_net
from processor_service.diarization.segmentation_net import SegmentationNet, load_segmentation_net
from processor_service.diarization.weights import EMBEDDING, SEGMENTATION, SpeakerWeights, verify


class SpeakerNets(NamedTuple):
    """Who is heard when, and whose voice it is."""

    segmentation: SegmentationNet
    embedding: EmbeddingNet


@functools.lru_cache(maxsize=1)
def load_nets(weights: SpeakerWeights) -> SpeakerNets:
    """The nets, about 35 MB, with weights that are verified first; raises ModelError. They stay loaded."""
    return SpeakerNets(
        load_segmentation_net(verify(Path(weights.segmentation), SEGMENTATION)),
        load_embedding_net(verify(Path(weights.embedding), EMBEDDING)),
    )
