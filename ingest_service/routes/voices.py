"""`/v1/voices`: voices of people that a tenant keeps, to name speakers. Off unless `HEADRACE_VOICES=true`."""

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.database import Database
from ingest_service.jobs.voices import add_voice, delete_voice, list_voices, no_voices, read_voice
from ingest_service.openapi.document import ADD_VOICE, ONE_VOICE, VOICES
from ingest_service.openapi.speakers import VoiceBody
from ingest_service.services import Services
from shared.schemas.api import Voice, VoiceList
from shared.schemas.known_speakers import NewVoice

MAX_BODY_BYTES = 16 << 10


@post(
    "/v1/voices",
    operation_class=VoiceBody,
    responses=ADD_VOICE,
    status_code=202,
    opt=needs(Scope.SUBMIT),
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="addVoice",
    tags=["voices"],
    summary="Add a voice",
)
async def add(data: JSONBody[NewVoice], caller: NamedDependency[Caller], services: NamedDependency[Services]) -> Voice:
    """Keep the voice of a person, by a sample of at least 3 s of clear speech. A processor reads it within seconds.

    The sample is spans of the audio of a job or of a presigned upload. Only an embedding is kept, which is biometric
    data: ask the person first.
    """
    return await add_voice(_database(services), caller.tenant, data)


@get(
    "/v1/voices",
    responses=VOICES,
    opt=needs(Scope.READ),
    operation_id="listVoices",
    tags=["voices"],
    summary="List the voices",
)
async def list_all(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> VoiceList:
    """All voices of the tenant, oldest first; at most 200. The embeddings are not shown."""
    return await list_voices(_database(services), caller.tenant)


@get(
    "/v1/voices/{voice_id:str}",
    responses=ONE_VOICE,
    opt=needs(Scope.READ),
    operation_id="getVoice",
    tags=["voices"],
    summary="Get a voice",
)
async def get_one(
    voice_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Voice:
    """A voice: `waiting` for a processor, `ready`, or `failed` with the reason."""
    return await read_voice(_database(services), caller.tenant, voice_id)


@delete(
    "/v1/voices/{voice_id:str}",
    responses=ONE_VOICE,
    opt=needs(Scope.SUBMIT),
    operation_id="deleteVoice",
    tags=["voices"],
    summary="Delete a voice",
)
async def delete_one(
    voice_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> None:
    """Delete a voice with its embedding. Transcripts keep the names that they have."""
    await delete_voice(_database(services), caller.tenant, voice_id)


def _database(services: Services) -> Database:
    """Return the database. Raise RefusedError `no_voices` if the service keeps none."""
    if not services.has_voices:
        raise no_voices()
    return services.database


ROUTES = (add, list_all, get_one, delete_one)
