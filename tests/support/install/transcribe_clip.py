"""Transcribe a clip and print the text: MODEL CLIP. Runs in the environment under test."""

import sys
from pathlib import Path

import processor_service.tasks.arq_worker  # noqa: F401 - the service can be imported
from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.load_mono import load_mono_16k
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.windows import plan_windows
from shared.schemas.options import JobOptions

audio = load_mono_16k(Path(sys.argv[2]))
windows = plan_windows(speech_regions(audio, FINE), len(audio) / 16_000)
engine = load_transcriber("openai-whisper", Path(sys.argv[1]))
transcript = engine.transcribe(audio, windows, JobOptions(), threads=1, on_progress=lambda *_: None)
print(" ".join(segment.text.strip() for segment in transcript.segments))
