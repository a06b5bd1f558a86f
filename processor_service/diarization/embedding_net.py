"""The embedding net, CAM++ (Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification", 2023).

Converts the filter-bank features of one voice to a vector of 192 numbers; vectors of one voice have similar directions.
A residual convolutional front end is followed by densely connected time-delay layers with context gates. The names fit
the published weights of the Chinese and English model.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from processor_service.diarization.voices import EMBEDDING_SIZE

MEL_BANDS = 80
GROWTH = 32  # channels that a dense layer adds
BOTTLENECK = 128
CONTEXT_FRAMES = 100  # over which a gate averages, in addition to the whole
BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers and dilation
STEP_S = 0.02


class ResidualBlock(nn.Module):
    """Two convolutions over (mel, time) with a shortcut. A stride of 2 halves the mel axis."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(32, 32, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(32))

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(features)))
        added: Tensor = self.bn2(self.conv2(inner)) + self.shortcut(features)
        return added.relu()


class ConvolutionalFront(nn.Module):
    """(batch, mel, time) to (batch, 320, time)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(ResidualBlock(2), ResidualBlock(1))
        self.layer2 = nn.Sequential(ResidualBlock(2), ResidualBlock(1))
        self.conv2 = nn.Conv2d(32, 32, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(features.unsqueeze(1))))
        inner = self.layer2(self.layer1(inner))
        return functional.relu(self.bn2(self.conv2(inner))).flatten(1, 2)


class Gate(nn.Module):
    """The context-aware mask: a time-delay layer whose channels are scaled by the context."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, inner: Tensor) -> Tensor:
        context = inner.mean(-1, keepdim=True) + _local_means(inner)
        gate: Tensor = self.linear2(functional.relu(self.linear1(context))).sigmoid()
        local: Tensor = self.linear_local(inner)
        return local * gate


def _local_means(inner: Tensor) -> Tensor:
    """The mean over each span of CONTEXT_FRAMES, repeated for each frame."""
    means = functional.avg_pool1d(inner, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
    return means.repeat_interleave(CONTEXT_FRAMES, dim=-1)[..., : inner.shape[-1]]


class DenseLayer(nn.Module):
    """A bottleneck and a gated time-delay layer."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm_relu(channels)
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _norm_relu(BOTTLENECK)
        self.cam_layer = Gate(dilation)

    def forward(self, inner: Tensor) -> Tensor:
        gated: Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(inner))))
        return gated


class DenseBlock(nn.Module):
    """Every layer gets the outputs of all layers before it."""

    def __init__(self, channels: int, layers: int, dilation: int) -> None:
        super().__init__()
        for number in range(layers):
            self.add_module(f"tdnnd{number + 1}", DenseLayer(channels + number * GROWTH, dilation))

    def forward(self, inner: Tensor) -> Tensor:
        for layer in self.children():
            inner = torch.cat([inner, layer(inner)], dim=1)
        return inner


class EmbeddingNet(nn.Module):
    """Computes time steps from features, and embeddings from the statistics of any selection of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.head = ConvolutionalFront()
        first = _named(linear=nn.Conv1d(320, 128, 5, stride=2, padding=2, bias=False), nonlinear=_norm_relu(128))
        layers: OrderedDict[str, nn.Module] = OrderedDict(tdnn=first)
        channels = 128
        for number, (count, dilation) in enumerate(BLOCKS, start=1):
            layers[f"block{number}"] = DenseBlock(channels, count, dilation)
            channels += count * GROWTH
            layers[f"transit{number}"] = _named(
                nonlinear=_norm_relu(channels), linear=nn.Conv1d(channels, channels // 2, 1, bias=False)
            )
            channels //= 2
        layers["out_nonlinear"] = _norm_relu(channels)
        layers["dense"] = _named(
            linear=nn.Conv1d(2 * channels, EMBEDDING_SIZE, 1, bias=False),
            nonlinear=_named(batchnorm=nn.BatchNorm1d(EMBEDDING_SIZE, affine=False)),
        )
        self.xvector = nn.Sequential(layers)

    def steps(self, features: Tensor) -> Tensor:
        """Features (frames, mel), with their mean over time subtracted, to steps (frames / 2, 512)."""
        steps: Tensor = self.xvector[:-1](self.head(features.T.unsqueeze(0)))
        return steps[0].T

    def embedding(self, steps: Tensor) -> Tensor:
        """The embedding (192,) of at least two steps (count, 512) of one voice, not of unit length."""
        statistics = torch.cat([steps.mean(0), steps.std(0)])
        embedding: Tensor = self.xvector[-1](statistics[None, :, None])
        return embedding[0, :, 0]


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _norm_relu(channels: int) -> nn.Sequential:
    return _named(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU())


def load_embedding_net(path: Path) -> EmbeddingNet:
    """Load the net with its weights."""
    net = EmbeddingNet()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()
