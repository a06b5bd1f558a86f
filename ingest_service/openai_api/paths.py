"""The paths of OpenAI's API. A client's base URL ends in `/v1`; Azure's clients name the model in the path."""

AUDIO = "/v1/audio"
MODELS = "/v1/models"
AZURE = "/openai/deployments"

# The ends of a client's paths, below its base URL. With a wrong base URL, no route has the path.
ENDS = ("/audio/transcriptions", "/audio/translations", "/models")

AUDIO_PATHS = (f"{AUDIO}/", f"{AZURE}/")  # they take audio
PATHS = (*AUDIO_PATHS, MODELS, "/openai/")  # their errors are OpenAI's
