"""Lines for the person who started the stack."""


def say(line: str) -> None:
    """Print one line now, also when the output is a pipe."""
    print(line, flush=True)
