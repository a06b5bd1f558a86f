"""The table of all error answers: code → HTTP status, title, and the detail if the code raising the error gives none.

The codes are part of the API. A title says what is wrong; a detail says what is allowed or what to do.
"""

from typing import NamedTuple


class ProblemType(NamedTuple):
    """One row of the table."""

    status: int
    title: str
    detail: str


PROBLEM_TYPES: dict[str, ProblemType] = {
    code: ProblemType(*row)
    for code, row in {
        # authentication
        "unauthorized": (401, "Missing or invalid API key", "Send a valid API key, as `Authorization: Bearer hr_…`."),
        "forbidden": (403, "Missing scope", "Use an API key with the scope that this request needs."),
        "host_not_allowed": (
            421,
            "Host not allowed",
            "Without API keys, use a loopback address, or add the host to HEADRACE_ALLOWED_HOSTS.",
        ),
        "origin_not_allowed": (
            403,
            "Origin not allowed",
            "Without API keys, only pages of this service and of HEADRACE_CORS_ORIGINS may send this request.",
        ),
        "invalid_csrf_token": (
            403,
            "Missing or invalid CSRF token",
            "With a session's cookie, send the `csrf_token` of `GET /v1/session` as `X-CSRF-Token`.",
        ),
        "page_not_allowed": (
            403,
            "Not allowed from a page",
            "Without API keys, no page in a browser may get a secret. Use a command line, or HEADRACE_AUTH=required.",
        ),
        "too_many_keys": (409, "Too many API keys", "Revoke a key before you create another."),
        "too_many_secrets": (409, "Too many webhook secrets", "Wait until a previous secret ends."),
        # uploads
        "empty_upload": (400, "Empty upload", "Send at least one byte of audio."),
        "missing_audio_file": (400, "Missing audio file", "Send the audio as the form's file field."),
        "invalid_form": (400, "Invalid form", "Send a valid multipart/form-data body."),
        "invalid_option": (400, "Invalid option", "Send only documented options, with allowed values."),
        "no_voices": (
            400,
            "No voices",
            "This service keeps no voices of people. Its operator can change that with HEADRACE_VOICES.",
        ),
        "model_unavailable": (400, "Model not available", "Name a model that a processor has, or leave `model` out."),
        "invalid_json": (400, "Invalid JSON", "Send a valid JSON object."),
        "invalid_digest": (400, "Invalid digest", "Send the digest as RFC 9530 defines it: `sha-256=:base64:`."),
        "digest_mismatch": (400, "Digest mismatch", "Send the body that the digest was computed of."),
        "invalid_idempotency_key": (400, "Invalid Idempotency-Key", "Use 1 to 255 visible ASCII characters."),
        "upload_stalled": (408, "Upload stalled", "Send the upload again, without pauses."),
        "idempotency_in_progress": (409, "Request in progress", "Wait until the first request with the key has ended."),
        "too_large": (413, "Upload too large", "Send less data."),
        "unsupported_content_type": (415, "Unsupported content type", "Send a form, audio bytes or JSON."),
        "unsupported_media": (415, "Unsupported media", "Send audio or video in a supported format."),
        "unsupported_content_encoding": (
            415,
            "Unsupported content encoding",
            "`Content-Encoding` must be `identity` or absent.",
        ),
        "idempotency_mismatch": (422, "Idempotency-Key reused", "Use a new Idempotency-Key for a different request."),
        "client_gone": (499, "Client closed the connection", "Keep the connection open until the answer."),
        # quotas and rate limits
        "quota_exceeded": (429, "Quota exceeded", "Try again after the seconds in `Retry-After`."),
        "rate_limited": (429, "Rate limit exceeded", "Try again after the seconds in `Retry-After`."),
        "too_many_streams": (
            429,
            "Too many event streams",
            "Close an event stream, or ask for the job's state instead.",
        ),
        "too_many_renders": (429, "Too many renders", "Try again after the seconds in `Retry-After`."),
        # resumable uploads
        "invalid_upload": (400, "Invalid upload header", "Send the headers of tus 1.0.0, with valid values."),
        "upload_offset_mismatch": (409, "Upload offset mismatch", "Continue from the offset that HEAD returns."),
        "upload_taken_over": (409, "Upload taken over", "A newer request writes to the upload. Continue there."),
        "upload_gone": (410, "Upload gone", "Create a new upload."),
        "unsupported_version": (412, "Unsupported tus version", "Send `Tus-Resumable: 1.0.0`."),
        "upload_locked": (423, "Upload locked", "Try again when the other request has ended."),
        "checksum_mismatch": (460, "Checksum mismatch", "Send the bytes again."),
        # presigned uploads
        "no_direct_uploads": (404, "Presigned uploads not available", "Use another upload method."),
        "upload_not_there": (409, "No uploaded bytes", "Upload the audio to the presigned URL first."),
        "upload_claimed": (409, "Upload already submitted", "Each presigned upload becomes one job."),
        # reading
        "invalid_parameter": (400, "Invalid parameter", "Send only documented parameters, with allowed values."),
        "not_found": (404, "Not found", "Check the path and the id."),
        "search_too_broad": (
            400,
            "Search too broad",
            "Search for rarer words, or in a shorter time (`created_after`).",
        ),
        "docs_not_installed": (
            404,
            "No viewer of the API",
            "Run `make browser-modules` to install the viewer. The document itself is at `/schema`.",
        ),
        "no_peaks": (404, "No peaks", "Draw the waveform from the audio, or submit the audio again."),
        "no_original": (404, "No original", "Submit the audio with `redact_keep_original=true`."),
        "no_denoised_audio": (404, "No denoised audio", "Submit the audio with `denoise=true`."),
        "model_not_found": (404, "Model not found", "Use a model that `/v1/models` lists."),
        "still_running": (503, "Job still running", "Send the same request again."),
        "not_ready": (409, "Job not finished", "Try again when the job is COMPLETED."),
        "job_failed": (409, "Job failed", "Read the reason in the job's `error`."),
        "job_cancelled": (409, "Job cancelled", "Submit the audio again."),
        "no_speech": (
            422,
            "No speech",
            "The beginning of the audio has no speech.",
        ),
        "job_erased": (410, "Job erased", "Submit the audio again."),
        "audio_erased": (410, "Audio erased", "Submit the audio again."),
        "source_headers_erased": (
            410,
            "Headers of the source erased",
            "Submit the job with its `audio_headers` again.",
        ),
        "precondition_failed": (412, "Precondition failed", "The content changed. Ask for it without `If-Match`."),
        "range_not_satisfiable": (416, "Range not satisfiable", "Ask for a range that starts before the end."),
        # changing
        "no_dead_letter": (404, "No dead letter", "Only jobs with a dead letter can be redriven or discarded."),
        "job_ended": (409, "Job already ended", "Only QUEUED and PROCESSING jobs can be cancelled."),
        "not_ended": (409, "Job not ended", "Try again when the job is COMPLETED, FAILED or CANCELLED."),
        "no_webhook": (409, "No webhook", "Submit the job with a `webhook_url`."),
        "invalid_edits": (400, "Invalid edits", "Change only words, segments and speakers that the transcript has."),
        "edit_conflict": (409, "Edit conflict", "Read the newest version, and send its changes and yours."),
        "edits_not_found": (404, "No such version of edits", "Use a version that `/transcript/edits` lists."),
        "edits_outdated": (
            409,
            "Edits outdated",
            "The audio was transcribed again. Ask for the transcript without these edits.",
        ),
        # server
        "internal": (500, "Internal error", "An internal error occurred. It has been logged."),
        "too_many_connections": (
            503,
            "Too many connections",
            "Close connections that you do not use, and try again later.",
        ),
        "database_unavailable": (503, "Database unavailable", "Try again later."),
        "storage_unavailable": (503, "Blob store unavailable", "The blob store does not answer. Try again later."),
        "storage_full": (507, "Blob store full", "There is no space for the audio. Try again later."),
        # HTTP
        "invalid_request": (400, "Invalid request", "Send a valid HTTP/1.1 request."),
        "unsupported_upgrade": (400, "Unsupported upgrade", "Send the body over HTTP/1.1, without Upgrade."),
        "request_stalled": (408, "Request stalled", "Send the whole request head within 20 seconds."),
        "head_too_large": (431, "Request head too large", "Send at most 32 KiB and 100 headers before the body."),
        "unsupported_transfer_encoding": (
            501,
            "Unsupported transfer coding",
            "`Transfer-Encoding` must be `chunked` or absent.",
        ),
        "method_not_allowed": (405, "Method not allowed", "Use a method that `Allow` lists."),
    }.items()
}
