// Submits, polls, reads and cancels with the client that @hey-api/openapi-ts generated from the document.
// Prints one JSON object. Compiled with types: a wrong type in the document fails the test, too.
import { cancelJob, getAudio, getJob, getTranscript, getTranscriptText, submitJob, submitRemoteJob } from "./client";
import type { JobView, Problem, Transcript } from "./client";
import { client } from "./client/client.gen";

declare const process: { env: Record<string, string> };
declare const require: (name: "node:fs") => { readFileSync(path: string): Uint8Array<ArrayBuffer> };

const { URL_OF_SERVICE, AUDIO } = process.env;
client.setConfig({ baseUrl: URL_OF_SERVICE });
const audio = (): Blob => new Blob([require("node:fs").readFileSync(AUDIO)]);

async function ended(job_id: string): Promise<JobView> {
  for (;;) {
    const job = (await getJob({ path: { job_id }, throwOnError: true })).data;
    if (!["QUEUED", "PROCESSING"].includes(job.status)) return job;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function text(job_id: string, format: "txt" | "srt" | "vtt"): Promise<string> {
  const answer = await getTranscriptText({ path: { job_id }, query: { format }, throwOnError: true });
  return answer.data;
}

async function main(): Promise<void> {
  const options = { language: "en", denoise: false, metadata: { call: 4711 } } as const;
  const sent = await submitJob({ body: { audio_file: audio(), ...options }, throwOnError: true });
  const { job_id } = sent.data;
  const job = await ended(job_id);
  const transcript: Transcript = (await getTranscript({ path: { job_id }, throwOnError: true })).data;
  const stored: Blob | File = (await getAudio({ path: { job_id }, throwOnError: true })).data;
  const another = (await submitJob({ body: { audio_file: audio() }, throwOnError: true })).data;
  const cancelled = (await cancelJob({ path: { job_id: another.job_id }, throwOnError: true })).data;
  const remote = await submitRemoteJob({ body: { audio_url: "https://example.invalid/a.mp3" }, throwOnError: true });
  await cancelJob({ path: { job_id: remote.data.job_id } });
  const missing: Problem | undefined = (await getJob({ path: { job_id: "0" } })).error;
  console.log(
    JSON.stringify({
      status: job.status,
      metadata: job.metadata,
      text: transcript.text,
      txt: await text(job_id, "txt"),
      srt: await text(job_id, "srt"),
      vtt: await text(job_id, "vtt"),
      audio_bytes: stored.size,
      cancelled: cancelled.status,
      remote: remote.data.status,
      problem: missing?.code,
    }),
  );
}

void main();
