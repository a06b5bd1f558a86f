"""Post one audio file to a provider's transcription API and read the answer, up to a maximum length.

Redirects are not followed. The results are values. No value or error contains text that the provider sent in its
headers, which may repeat the key.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from processor_service.outbound.http_errors import why_broken
from processor_service.providers.provider_settings import ProviderSettings
from shared.schemas.key_terms import PROMPT_CHARS, prompt_of
from shared.schemas.options import JobOptions

# Ten minutes of fast speech, five words a second, are 0.5 MB with times; some providers add tokens.
MAX_ANSWER_BYTES = 8 << 20
READ_BYTES = 64 << 10
CONNECT_S = 15.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer."""

    status: int
    retry_after: str | None
    body: bytes


class NoAnswer(msgspec.Struct, frozen=True):
    """No answer, or an incomplete one; `reason` continues "The provider …"."""

    reason: str


class TooLong(msgspec.Struct, frozen=True):
    """The answer is longer than any valid one; the rest was not read."""


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """The session for all requests to providers of a process. TLS is verified; no cookies, no proxy, no `.netrc`."""
    # One connection per request: a reused one that the provider has closed would look like a failure.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
    ) as session:
        yield session


async def post_audio(
    http: aiohttp.ClientSession, provider: ProviderSettings, path: Path, options: JobOptions
) -> Answer | NoAnswer | TooLong:
    """Send a FLAC file. No answer of a provider raises an error."""
    timeout = aiohttp.ClientTimeout(
        total=provider.timeout_s, sock_connect=CONNECT_S, sock_read=min(provider.silence_s, provider.timeout_s)
    )
    try:
        with path.open("rb") as audio:
            form = _form(provider, options)
            form.add_field("file", audio, filename="audio.flac", content_type="audio/flac")
            async with http.post(
                provider.address(options.task),
                data=form,
                headers=_headers(provider),
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                return await read_whole(response, MAX_ANSWER_BYTES)
    except (aiohttp.ClientError, OSError) as error:
        return NoAnswer(why_broken(error))


def fields_of(provider: ProviderSettings, options: JobOptions) -> list[tuple[str, str]]:
    """The form fields besides the file. A translation is into English and has no word times."""
    fields = [("model", provider.model)]
    fields.append(("response_format", "json" if provider.times == "none" else "verbose_json"))
    if options.task == "transcribe":
        if options.language:
            fields.append(("language", options.language))
        if provider.times == "words":  # regardless of the job's options: seams are found by words
            fields += [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]
    if prompt := _prompt(options):
        fields.append(("prompt", _plain(prompt)))
    return fields


def _prompt(options: JobOptions) -> str | None:
    """The client's prompt, with the key terms before it that a model can read: it reads the last 224 tokens."""
    return prompt_of(options.keyterms, options.prompt, most_chars=PROMPT_CHARS) if options.keyterms else options.prompt


def _plain(prompt: str) -> str:
    """The prompt without the marks of special tokens: a provider's tokenizer may take `<|endoftext|>` for one."""
    return prompt.replace("<|", "< |").replace("|>", "| >")


def _form(provider: ProviderSettings, options: JobOptions) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in fields_of(provider, options):
        form.add_field(name, value)
    return form


def _headers(provider: ProviderSettings) -> dict[str, str]:
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "Headrace/1"}
    return headers | ({"authorization": f"Bearer {provider.key.reveal()}"} if provider.key else {})


async def read_whole(response: aiohttp.ClientResponse, max_bytes: int) -> Answer | TooLong:
    """Read an answer to its end. Raise aiohttp's errors and OSError."""
    body = bytearray()
    async for piece in response.content.iter_chunked(READ_BYTES):
        body += piece
        if len(body) > max_bytes:
            response.close()
            return TooLong()
    return Answer(status=response.status, retry_after=response.headers.get("retry-after"), body=bytes(body))
