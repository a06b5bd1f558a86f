"""Times as subtitles write them."""


def timestamp(milliseconds: int, decimal_mark: str) -> str:
    """`HH:MM:SS,mmm`; hours grow beyond two digits when they must."""
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole_s, ms = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole_s:02}{decimal_mark}{ms:03}"
