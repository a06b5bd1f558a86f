"""Takes SQL apart into its statements. Knows comments, quotes and dollar quotes; no `BEGIN ATOMIC … END`. Pure."""

import re

TOKEN = re.compile(
    r"""(?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<literal> [eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | (?P<tag>\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$).*?(?P=tag) )
    | (?P<name> "(?:""|[^"])*" )
    | (?P<end> ; )
    | (?P<other> [A-Za-z_0-9$]+ | . )""",
    re.DOTALL | re.VERBOSE,
)


def split(sql: str) -> list[str]:
    """The statements as they stand, comments before and in them included, without their semicolons."""
    pieces = [""]
    for token in TOKEN.finditer(sql):
        if token.lastgroup == "end":
            pieces.append("")
        else:
            pieces[-1] += token[0]
    return [piece.strip() for piece in pieces if bare(piece)]


def bare(statement: str) -> str:
    """The statement in one line for reading: without comments, what stands in quotes left out."""
    kept = {"comment": " ", "literal": "''"}
    return " ".join("".join(kept.get(str(token.lastgroup), token[0]) for token in TOKEN.finditer(statement)).split())
