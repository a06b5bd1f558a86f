"""The segmentation net, pyannote's segmentation-3.0: which of up to three local speakers are active, frame by frame.

The architecture is PyanNet (Bredin, "pyannote.audio 2.1", 2023; powerset classes: Plaquet and Bredin, 2023): a SincNet
(Ravanelli and Bengio, 2018), four bidirectional LSTM layers, two linear ones. The names fit the published weights.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

# The classes are sets of at most two of three local speakers, in the order of the training.
LOCAL_SPEAKERS = 3
AT_ONCE = 2
SETS = tuple(members for size in range(AT_ONCE + 1) for members in combinations(range(LOCAL_SPEAKERS), size))

Activity = npt.NDArray[np.bool_]  # (windows, frames, local speakers)


def decode(scores: npt.NDArray[np.floating]) -> Activity:
    """The most probable set of each frame. Scores are (..., classes), the result (..., local speakers)."""
    members = np.array([[speaker in one for speaker in range(LOCAL_SPEAKERS)] for one in SETS])
    activity: Activity = members[np.argmax(scores, axis=-1)]
    return activity


SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 160_000  # 10 s, as in the training
FRAME_SAMPLES = 270  # between two frames: a stride of 10 and three poolings by 3
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
RECEPTIVE_SAMPLES = 991  # input of one frame
CLASSES = len(SETS)
MIN_HZ = 50.0  # minimum lower edge and width of a filter


class SincFilters(nn.Module):
    """Forty learnt band-pass filters, each as cosine and sine: (batch, 1, samples) to (batch, 80, steps).

    Only the left half of a filter is computed; the right half is its mirror image, negated for the sines.
    """

    def __init__(self) -> None:
        super().__init__()
        self.low_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.band_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.register_buffer("window_", torch.zeros(125))  # the left half of a Hamming window
        self.register_buffer("n_", torch.zeros(1, 125))  # 2 pi times seconds before the middle

    def filters(self) -> Tensor:
        """The kernels, (80, 1, 251)."""
        window, angles = self.get_buffer("window_"), self.get_buffer("n_")
        low = MIN_HZ + self.low_hz_.abs()
        high = (low + MIN_HZ + self.band_hz_.abs()).clamp(MIN_HZ, SAMPLE_RATE_HZ / 2)
        width = high - low
        scale = window / (angles / 2) / (2 * width)
        cosines = ((high * angles).sin() - (low * angles).sin()) * scale
        sines = ((low * angles).cos() - (high * angles).cos()) * scale
        even = torch.cat([cosines, torch.ones_like(width), cosines.flip(1)], dim=1)
        odd = torch.cat([sines, torch.zeros_like(width), -sines.flip(1)], dim=1)
        return torch.cat([even, odd]).unsqueeze(1)

    def forward(self, samples: Tensor) -> Tensor:
        return functional.conv1d(samples, self.filters(), stride=10)


class SincNet(nn.Module):
    """(batch, 1, samples) to (batch, 60, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        first = nn.Module()
        first.add_module("filterbank", SincFilters())
        self.conv1d = nn.ModuleList([first, nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList(nn.InstanceNorm1d(channels, affine=True) for channels in (80, 60, 60))

    def forward(self, samples: Tensor) -> Tensor:
        filters: nn.Module = self.conv1d[0].get_submodule("filterbank")
        inner = filters(self.wav_norm1d(samples)).abs()
        inner = self._pooled(inner, 0)
        for layer in (1, 2):
            inner = self._pooled(self.conv1d[layer](inner), layer)
        return inner

    def _pooled(self, inner: Tensor, layer: int) -> Tensor:
        return functional.leaky_relu(self.norm1d[layer](functional.max_pool1d(inner, 3)))


class SegmentationNet(nn.Module):
    """(batch, samples) at 16 kHz in [-1, 1] to log probabilities (batch, frames, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = SincNet()
        self.lstm = nn.LSTM(60, 128, num_layers=4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, CLASSES)

    def forward(self, samples: Tensor) -> Tensor:
        inner, _ = self.lstm(self.sincnet(samples.unsqueeze(1)).transpose(1, 2))
        for layer in self.linear:
            inner = functional.leaky_relu(layer(inner))
        return functional.log_softmax(self.classifier(inner), dim=-1)


def load_segmentation_net(path: Path) -> SegmentationNet:
    """Load the net with its weights. The file also describes the architecture, which is the one above."""
    net = SegmentationNet()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    return net.eval()


def frame_count(samples: int) -> int:
    """The number of frames for a number of samples; 589 for a window."""
    count = (samples - 251) // 10 + 1
    for kernel in (1, 5, 5):
        count = (count - kernel + 1) // 3
    return max(0, count)
