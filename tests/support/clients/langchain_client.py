"""LangChain's parsers of audio, run in the environment `langchain`: one JSON object as argument, one on stdout."""

import contextlib
import json
import sys
from typing import Any

import imageio_ffmpeg
from langchain_community.document_loaders.parsers.audio import AzureOpenAIWhisperParser, OpenAIWhisperParser
from langchain_core.documents.base import Blob
from pydub import AudioSegment


def parser_of(order: dict[str, Any]) -> Any:
    """Return the parser that the order names."""
    options = order["options"]
    if order["parser"] == "azure":
        return AzureOpenAIWhisperParser(
            api_key="any", azure_endpoint=order["url"], api_version="2024-06-01", deployment_name="whisper-1", **options
        )
    AudioSegment.converter = imageio_ffmpeg.get_ffmpeg_exe()
    return OpenAIWhisperParser(api_key="any", base_url=f"{order['url']}/v1", **options)


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Parse a file. The parsers print to stdout."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            documents = list(parser_of(order).lazy_parse(Blob.from_path(order["file"])))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return {"error": type(error).__name__, "message": str(error)}
    return {"texts": [document.page_content for document in documents]}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
