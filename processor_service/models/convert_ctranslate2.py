"""Convert a CTranslate2 Whisper `model.bin` to an openai-whisper checkpoint. Floating-point weights only.

The format is version 6 of CTranslate2's serialiser (`Model::load` in its `src/models/model.cc`): a header, the
variables (name, shape, type, bytes), then aliases. CTranslate2 fuses attention projections; a checkpoint does not.
"""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from processor_service.models.cache import ModelError

Arrays = dict[str, npt.NDArray[np.floating | np.integer]]

VERSION = 6
DTYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
HEAD_WIDTH = 64  # of every Whisper model; for files without the number of heads
BLOCK_PARTS = {
    "attn_ln": "self_attention/layer_norm",
    "cross_attn_ln": "attention/layer_norm",
    "mlp_ln": "ffn/layer_norm",
}


def convert_model(source: Path, target: Path) -> None:
    """Write the checkpoint `{"dims", "model_state_dict"}`. Raise ModelError for an unexpected format."""
    try:
        arrays = _read_variables(source.read_bytes())
        state = _state_dict(arrays)
        checkpoint = {"dims": _dimensions(arrays, state), "model_state_dict": state}
    except (KeyError, struct.error, ValueError) as error:
        raise ModelError(f"{source.name} is not a CTranslate2 Whisper model: {error!r}") from error
    torch.save(checkpoint, target)


class _Reader:
    """A cursor over the bytes of the file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def number(self, layout: str) -> int:
        value: int = struct.unpack_from("<" + layout, self._data, self._position)[0]
        self._position += struct.calcsize("<" + layout)
        return value

    def text(self) -> str:
        length = self.number("H")
        return self.raw(length)[:-1].decode()  # without the final NUL

    def raw(self, length: int) -> bytes:
        piece = self._data[self._position : self._position + length]
        if len(piece) != length:
            raise ValueError("the file is truncated")
        self._position += length
        return piece


def _read_variables(data: bytes) -> Arrays:
    reader = _Reader(data)
    version, spec = reader.number("I"), reader.text()
    if version != VERSION or spec != "WhisperSpec":
        raise ValueError(f"unsupported: version {version} of {spec!r}")
    reader.number("I")  # revision of the spec
    arrays: Arrays = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        dtype = DTYPES[reader.number("B")]
        arrays[name] = np.frombuffer(reader.raw(reader.number("I")), dtype).reshape(shape)
    for _ in range(reader.number("I")):
        alias, original = reader.text(), reader.text()
        arrays[alias] = arrays[original]
    return arrays


def _state_dict(arrays: Arrays) -> dict[str, torch.Tensor]:
    """The variables as float16 tensors, under openai-whisper's names."""
    state: dict[str, torch.Tensor] = {}

    def put(name: str, array: npt.NDArray[np.floating | np.integer]) -> None:
        if array.dtype.kind != "f":
            raise ValueError(f"{name} is quantised ({array.dtype}); only floating-point weights can be converted")
        state[name] = torch.from_numpy(array.astype(np.float16))

    for convolution in ("conv1", "conv2"):
        _linear(put, arrays, f"encoder.{convolution}", f"encoder/{convolution}")
    put("encoder.positional_embedding", arrays["encoder/position_encodings/encodings"])
    put("decoder.positional_embedding", arrays["decoder/position_encodings/encodings"])
    put("decoder.token_embedding.weight", arrays["decoder/embeddings/weight"])
    _norm(put, arrays, "encoder.ln_post", "encoder/layer_norm")
    _norm(put, arrays, "decoder.ln", "decoder/layer_norm")
    for side in ("encoder", "decoder"):
        for layer in range(_layer_count(arrays, side)):
            _block(put, arrays, f"{side}.blocks.{layer}", f"{side}/layer_{layer}")
    return state


Put = Callable[[str, npt.NDArray[np.floating | np.integer]], None]


def _linear(put: Put, arrays: Arrays, target: str, source: str) -> None:
    put(f"{target}.weight", arrays[f"{source}/weight"])
    put(f"{target}.bias", arrays[f"{source}/bias"])


def _norm(put: Put, arrays: Arrays, target: str, source: str) -> None:
    put(f"{target}.weight", arrays[f"{source}/gamma"])
    put(f"{target}.bias", arrays[f"{source}/beta"])


def _block(put: Put, arrays: Arrays, target: str, source: str) -> None:
    has_cross_attention = f"{source}/attention/linear_0/weight" in arrays
    for ours, theirs in BLOCK_PARTS.items():
        if has_cross_attention or ours != "cross_attn_ln":
            _norm(put, arrays, f"{target}.{ours}", f"{source}/{theirs}")
    _attention(put, arrays, f"{target}.attn", f"{source}/self_attention", ["query", "key", "value"])
    if has_cross_attention:
        _attention(put, arrays, f"{target}.cross_attn", f"{source}/attention", ["query"], ["key", "value"])
    _linear(put, arrays, f"{target}.mlp.0", f"{source}/ffn/linear_0")
    _linear(put, arrays, f"{target}.mlp.2", f"{source}/ffn/linear_1")


def _attention(put: Put, arrays: Arrays, target: str, source: str, *fused: list[str]) -> None:
    """Split each fused projection. Whisper's keys have no bias; CTranslate2 stores zeros for it."""
    for number, parts in enumerate(fused):
        weights = np.split(arrays[f"{source}/linear_{number}/weight"], len(parts))
        biases = np.split(arrays[f"{source}/linear_{number}/bias"], len(parts))
        for part, weight, bias in zip(parts, weights, biases, strict=True):
            put(f"{target}.{part}.weight", weight)
            if part != "key":
                put(f"{target}.{part}.bias", bias)
    _linear(put, arrays, f"{target}.out", f"{source}/linear_{len(fused)}")


def _layer_count(arrays: Arrays, side: str) -> int:
    return len({match[1] for name in arrays if (match := re.match(rf"{side}/layer_(\d+)/", name))})


def _dimensions(arrays: Arrays, state: dict[str, torch.Tensor]) -> dict[str, int]:
    """`whisper.model.ModelDimensions` as a dict."""
    audio_context, audio_width = state["encoder.positional_embedding"].shape
    text_context, text_width = state["decoder.positional_embedding"].shape

    def heads(side: str, width: int) -> int:
        stored = arrays.get(f"{side}/num_heads")
        return width // HEAD_WIDTH if stored is None else int(stored)

    return {
        "n_mels": state["encoder.conv1.weight"].shape[1],
        "n_audio_ctx": audio_context,
        "n_audio_state": audio_width,
        "n_audio_head": heads("encoder", audio_width),
        "n_audio_layer": _layer_count(arrays, "encoder"),
        "n_vocab": state["decoder.token_embedding.weight"].shape[0],
        "n_text_ctx": text_context,
        "n_text_state": text_width,
        "n_text_head": heads("decoder", text_width),
        "n_text_layer": _layer_count(arrays, "decoder"),
    }
