"""OpenAI's audio API: `/v1/audio/transcriptions`, `/v1/audio/translations`, `/v1/models`, and Azure's spelling."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.errors import RefusedError
from ingest_service.openai_api.models import ModelList, ModelObject
from ingest_service.openai_api.paths import AUDIO, AZURE, MODELS
from ingest_service.openai_api.transcribe import answer_audio
from ingest_service.openapi import openai as described
from ingest_service.services import Services

CREATED = 1663718400  # Whisper's release; clients only sort by it
OWNER = "headrace"

AnyRequest = Request[Any, Any, Any]


@post(
    f"{AUDIO}/transcriptions",
    operation_class=described.AudioUpload,
    operation_id="createTranscription",
    tags=["openai"],
    responses=described.AUDIO,
    status_code=200,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    summary="Transcribe audio and wait",
)
async def create_transcription(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """The transcript, as OpenAI's API returns it. The job is an ordinary one: `Headrace-Job-Id` names it."""
    return await answer_audio(request, services, caller, "transcribe")


@post(
    f"{AUDIO}/translations",
    operation_class=described.TranslationUpload,
    operation_id="createTranslation",
    tags=["openai"],
    responses=described.AUDIO,
    status_code=200,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
    summary="Translate audio into English and wait",
)
async def create_translation(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """The English text, as OpenAI's API returns it. The job is an ordinary one: `Headrace-Job-Id` names it."""
    return await answer_audio(request, services, caller, "translate")


@post(
    f"{AZURE}/{{deployment:str}}/audio/transcriptions",
    include_in_schema=False,
    status_code=200,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
)
async def create_azure_transcription(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """The same for Azure's clients, which name the model in the path."""
    return await answer_audio(request, services, caller, "transcribe")


@post(
    f"{AZURE}/{{deployment:str}}/audio/translations",
    include_in_schema=False,
    status_code=200,
    request_max_body_size=None,  # counted while streaming
    opt=needs(Scope.SUBMIT),
)
async def create_azure_translation(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """The same for Azure's clients, which name the model in the path."""
    return await answer_audio(request, services, caller, "translate")


@get(
    MODELS,
    operation_id="listModels",
    tags=["openai"],
    responses=described.MODELS,
    opt=needs(Scope.READ),
    summary="List models",
    sync_to_thread=False,
)
def list_models(services: NamedDependency[Services]) -> ModelList:
    """The names that `model` may have: aliases, and the models that processors announce."""
    return ModelList(data=tuple(map(_model, services.models.names())))


@get(
    f"{MODELS}/{{model:path}}",
    operation_id="getModel",
    tags=["openai"],
    responses=described.MODEL,
    opt=needs(Scope.READ),
    summary="Get a model",
    sync_to_thread=False,
)
def get_model(model: FromPath[str], services: NamedDependency[Services]) -> ModelObject:
    """One of the list. A name may contain slashes."""
    name = model.removeprefix("/")
    if name not in services.models.names():
        raise RefusedError("model_not_found", "There is no `model` of this name. `/v1/models` lists all.")
    return _model(name)


def _model(name: str) -> ModelObject:
    return ModelObject(id=name, created=CREATED, owned_by=OWNER)


ROUTES = (
    create_transcription,
    create_translation,
    create_azure_transcription,
    create_azure_translation,
    list_models,
    get_model,
)
