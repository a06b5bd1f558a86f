"""Silero's voice activity detection net for 16 kHz, computed in numpy with the weights of the package `silero-vad`.

The package is not imported: it needs torch and calls the net once per window. Here 1,024 windows are encoded at a time;
only the recurrent layer steps through them one by one.
"""

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

WINDOW = 512  # samples of one probability (32 ms)
CONTEXT = 64  # samples of the previous window that the net also reads
FOURIER, HOP = 256, 128  # samples
BINS = FOURIER // 2 + 1
STATE = 128
BLOCK = 1024  # windows encoded at a time; bounds the memory to some 30 MB
WEIGHTS = "silero_vad/data/silero_vad_16k_op15.onnx"
HALF = np.float32(0.5)
FIXED_LENGTHS = {1: 8, 5: 4}  # bytes of a value in a protocol buffer, by its wire type

Floats = npt.NDArray[np.float32]


class SpeechNet:
    """Maps windows of audio to probabilities of speech. It has no state; several threads may use it."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        encoder = "model.encoder.{}.reparam_conv.{}".format
        self._fourier = weights["model.stft.forward_basis_buffer"][:, 0].T
        self._layers = [_as_matrix(weights[encoder(index, "weight")]) for index in range(3)]
        self._last_layer = weights[encoder(3, "weight")][:, :, 1].T  # of one step; its neighbours are zeros
        self._biases = [weights[encoder(index, "bias")] for index in range(4)]
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: with the halves in the weights, one tanh serves all four gates.
        halves = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), STATE)
        self._into_gates = weights["model.decoder.rnn.weight_ih"].T * halves
        self._gates_bias = (weights["model.decoder.rnn.bias_ih"] + weights["model.decoder.rnn.bias_hh"]) * halves
        self._state_into_gates = np.ascontiguousarray(weights["model.decoder.rnn.weight_hh"].T * halves)
        self._output = weights["model.decoder.decoder.2.weight"][0, :, 0]
        self._output_bias = weights["model.decoder.decoder.2.bias"]

    def probabilities(self, windows: Floats) -> Floats:
        """Return the probability of each window, (windows,), of a recording, (windows, 512)."""
        found = np.empty(len(windows), np.float32)
        states, cell = np.zeros((1, STATE), np.float32), np.zeros(STATE, np.float32)
        context = np.zeros(CONTEXT, np.float32)
        for begin in range(0, len(windows), BLOCK):
            block = windows[begin : begin + BLOCK]
            states, cell = self._states(self._gates(_with_context(context, block)), states[-1], cell)
            found[begin : begin + BLOCK] = self._probabilities_of(states)
            context = block[-1, -CONTEXT:]
        return found

    def _gates(self, with_context: Floats) -> Floats:
        """Return the input of each window, (windows, 576), to the gates of the recurrent layer, (windows, 512)."""
        mirrored = np.concatenate([with_context, with_context[:, -2 : -2 - CONTEXT : -1]], axis=1)
        spectrum = _slices(mirrored, FOURIER, HOP) @ self._fourier
        steps = np.sqrt(spectrum[..., :BINS] ** 2 + spectrum[..., BINS:] ** 2)
        for layer, bias, stride in zip(self._layers, self._biases, (1, 2, 2), strict=False):
            steps = _convolved(steps, layer, bias, stride)
        last = np.maximum(steps[:, 0] @ self._last_layer + self._biases[3], 0)
        return np.asarray(last @ self._into_gates + self._gates_bias, np.float32)

    def _states(self, gates: Floats, state: Floats, cell: Floats) -> tuple[Floats, Floats]:
        """Run the recurrent layer (LSTM). Return its state at each window and its last cell."""
        states = np.empty((len(gates), STATE), np.float32)
        for window, following in zip(gates, states, strict=True):
            gate = np.tanh(window + state @ self._state_into_gates)
            scaled = gate * HALF + HALF
            cell = scaled[STATE : 2 * STATE] * cell + scaled[:STATE] * gate[2 * STATE : 3 * STATE]
            state = np.multiply(scaled[3 * STATE :], np.tanh(cell), out=following)
        return states, cell

    def _probabilities_of(self, states: Floats) -> Floats:
        logits = np.maximum(states, 0) @ self._output + self._output_bias
        return np.asarray(HALF * np.tanh(HALF * logits) + HALF, np.float32)


@cache
def speech_net() -> SpeechNet:
    """Return the net. Its weights are read once."""
    return SpeechNet(_read_weights(Path(str(distribution("silero-vad").locate_file(WEIGHTS)))))


def _with_context(context: Floats, windows: Floats) -> Floats:
    """Prefix each window with the end of the previous one, (windows, 576); `context` precedes the first."""
    before = np.concatenate([context[np.newaxis], windows[:-1, -CONTEXT:]])
    return np.concatenate([before, windows], axis=1)


def _as_matrix(weight: Floats) -> Floats:
    """Return the weight of a convolution, (out, in, taps), as a matrix for slices in tap order, (taps x in, out)."""
    matrix: Floats = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))
    return matrix


def _convolved(steps: Floats, layer: Floats, bias: Floats, stride: int) -> Floats:
    """Convolve (windows, steps, channels) with three taps, zero-padded by one step, then apply ReLU."""
    windows, count, channels = steps.shape
    padded = np.zeros((windows, (count + 2) * channels), np.float32)
    padded[:, channels:-channels] = steps.reshape(windows, -1)
    products: Floats = _slices(padded, 3 * channels, stride * channels) @ layer
    products += bias
    return np.maximum(products, 0, out=products)


def _slices(rows: Floats, length: int, hop: int) -> Floats:
    """Return slices of each row, (rows, slices, length), whose starts are `hop` apart."""
    views = np.lib.stride_tricks.sliding_window_view(rows, length, axis=1)
    slices: Floats = np.ascontiguousarray(views[:, ::hop])
    return slices


def _read_weights(path: Path) -> dict[str, Floats]:
    """Read the tensors of an ONNX file, a protocol buffer: each `initializer` (5) of its `graph` (7)."""
    (graph,) = (value for number, value in _fields(path.read_bytes()) if number == 7)
    return dict(_tensor(value) for number, value in _fields(graph) if number == 5)


def _tensor(message: bytes) -> tuple[str, Floats]:
    """Return a tensor's `name` (8) and its `raw_data` (9) in the shape of its `dims` (1)."""
    fields = _fields(message)
    shape = [int.from_bytes(value, "little") for number, value in fields if number == 1]
    named = dict(fields)
    return named[8].decode(), np.frombuffer(named[9], "<f4").reshape(shape)


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Return number and value of each field of a protocol buffer; integers as eight little-endian bytes."""
    fields, at = [], 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            fields.append((key >> 3, value.to_bytes(8, "little")))
        else:
            length, at = _varint(message, at) if key & 7 == 2 else (FIXED_LENGTHS[key & 7], at)
            fields.append((key >> 3, message[at : at + length]))
            at += length
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number encoded in groups of seven bits, lowest first, and the offset after it."""
    number = shift = 0
    while message[at] & 128:
        number, shift, at = number | (message[at] & 127) << shift, shift + 7, at + 1
    return number | message[at] << shift, at + 1
