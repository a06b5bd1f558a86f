"""Decodes many windows at once with CTranslate2, which has its own loop for it: text tokens, and how sure it is."""

from collections.abc import Callable

from ctranslate2.models import WhisperGenerationResult
from whisper.tokenizer import Tokenizer

from processor_service.transcribers.ctranslate2_workers import Workers, stored
from processor_service.transcribers.transcriber import FloatArray
from processor_service.transcribers.whisper_checks import Decoded, previous_tokens, tokens_never_said

# They make up for the errors of 8-bit integers: tiny.en has 8.0 % of words wrong, for 8.3 with one. Five gain no more.
BEAMS = 3


class WindowDecoder:
    """A model for the likeliest text, one for texts drawn by chance, and what may be said; one language and task."""

    def __init__(
        self, workers: Workers, sampler: Callable[[], Workers], tokenizer: Tokenizer, prompt: str | None
    ) -> None:
        self._workers = workers
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._start = [*previous_tokens(tokenizer, prompt), *tokenizer.sot_sequence_including_notimestamps]
        self._never = tokens_never_said(tokenizer)

    def decode(self, features: FloatArray, *, temperature: float = 0.0) -> list[Decoded]:
        """Decode encoded windows, shape (windows, frames, state)."""
        workers = self._sampler() if temperature else self._workers

        def generate(part: slice) -> list[WhisperGenerationResult]:
            results: list[WhisperGenerationResult] = workers.model.generate(
                stored(features[part]),
                [self._start] * len(features[part]),
                beam_size=1 if temperature else BEAMS,
                sampling_topk=0 if temperature else 1,
                sampling_temperature=temperature or 1.0,
                suppress_tokens=self._never,
                return_scores=True,
                return_no_speech_prob=True,
            )
            return results

        return [self._decoded(result) for result in workers.share_out(generate, len(features))]

    def _decoded(self, result: WhisperGenerationResult) -> Decoded:
        said = result.sequences_ids[0]
        return Decoded(
            tokens=tuple(said),
            text=self._tokenizer.decode(said).strip(),
            # The score is a mean over the text; Whisper's checks count its end too.
            mean_log_probability=result.scores[0] * len(said) / (len(said) + 1),
            no_speech_probability=result.no_speech_prob,
        )
