"""What a compute child does to tell speakers apart. What takes seconds to import is imported when it is asked for."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from processor_service.audio.load_mono import load_mono_16k
from processor_service.compute.messages import FindTurns, FindVoices, Reply, TurnsFound, VoicesFound


def tell_speakers(request: FindVoices | FindTurns, progress: Callable[[float], None]) -> Reply:
    """Find the voices in one chunk or, when those of all chunks are found, the turns in the file."""
    return _find_voices(request, progress) if isinstance(request, FindVoices) else _find_turns(request)


def _find_voices(request: FindVoices, progress: Callable[[float], None]) -> Reply:
    """In the core, in the source's time, whatever was denoised or transcribed of it."""
    import torch

    from processor_service.diarization.nets import load_nets
    from processor_service.diarization.voice_embeddings import find_voices

    torch.set_num_threads(request.threads)
    chunk = request.chunk
    lead_frames = chunk.core_start_frame - chunk.file_start_frame
    core_frames = chunk.core_end_frame - chunk.core_start_frame
    audio = load_mono_16k(Path(chunk.path), lead_frames, lead_frames + core_frames)
    offset_s = chunk.core_start_frame / chunk.sample_rate_hz
    voices = find_voices(load_nets(request.weights), audio, offset_s=offset_s, on_progress=progress)
    Path(request.voices_path).write_bytes(msgspec.msgpack.encode(voices))
    return VoicesFound()


def _find_turns(request: FindTurns) -> Reply:
    from processor_service.diarization.speaker_turns import speaker_turns
    from processor_service.diarization.voices import Voices

    chunks = [msgspec.msgpack.decode(Path(path).read_bytes(), type=Voices) for path in request.voices_paths]
    return TurnsFound(turns=speaker_turns(chunks, at_least=request.at_least, at_most=request.at_most))
