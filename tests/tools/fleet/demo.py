"""Sends one clip through the fleet: to the proxy, through a processor with a real model, back by a signed webhook."""

from deploy.local.demo import CLIP
from tests.support.acceptance.client import Client, words_of
from tests.tools.chaos.golden import Golden
from tests.tools.chaos.waiting import until
from tests.tools.fleet.trial import Trial

MODEL = "tiny.en"
WORDS = "ask not what your country can do for you"
WEBHOOK_WITHIN_S = 120.0
REAL = {
    "HEADRACE_TRANSCRIBER": "openai-whisper",
    "HEADRACE_MODEL": MODEL,
    "HEADRACE_SLOTS": "1",
    "HEADRACE_THREADS": "2",
    "HEADRACE_CHUNK_THRESHOLD_S": "1800",
    "HEADRACE_CHILD_MEMORY_BYTES": "0",
}
A_CLIP = Golden(wav=b"", text="", chunks=0, calls=0)


async def demo(trial: Trial) -> None:
    """One clip, from the upload to the webhook, with a real model if it is available."""
    processor, model_dir = trial.fleet.processors[0], trial.fleet.model_dir
    processor.extra = {**REAL, "HEADRACE_MODEL_DIR": str(model_dir)} if model_dir else {}
    await processor.start()
    await processor.until_ready()
    text = await _through(trial)
    if model_dir:
        trial.expect(WORDS in " ".join(words_of(text)), f"the transcript is {text!r}")
    trial.figures["engine"] = f"openai-whisper, {MODEL}" if model_dir else "scripted: no model available"
    await processor.until_ready(after=processor.restart({}))


async def _through(trial: Trial) -> str:
    attempt = await trial.load.attempt(A_CLIP, audio=lambda _: CLIP.read_bytes())
    assert attempt.job_id is not None, attempt
    received = trial.fleet.receiver.log
    await until(lambda: any(one.job_id == attempt.job_id for one in received), within_s=WEBHOOK_WITHIN_S)
    event = next(one for one in received if one.job_id == attempt.job_id)
    attempt.text = (await Client(trial.fleet.http).transcript(attempt.job_id))["text"]
    trial.expect(event.type == "job.completed", f"the webhook event is {event.type}")
    trial.expect(event.verifies, "the webhook's signature does not verify")
    trial.figures |= {
        "upload_to_webhook_s": round(event.at - attempt.sent_at, 2),
        "webhook_verified": event.verifies,
        "transcript": attempt.text.strip(),
    }
    return attempt.text
