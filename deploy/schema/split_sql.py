"""Splits SQL into statements. Supports comments, quotes and dollar quotes, but no `BEGIN ATOMIC … END`. Pure."""

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
    """Return the statements with their comments, without semicolons."""
    pieces = [""]
    for token in TOKEN.finditer(sql):
        if token.lastgroup == "end":
            pieces.append("")
        else:
            pieces[-1] += token[0]
    return [piece.strip() for piece in pieces if bare(piece)]


def bare(statement: str) -> str:
    """Return the statement in one line, without comments and with empty literals."""
    kept = {"comment": " ", "literal": "''"}
    return " ".join("".join(kept.get(str(token.lastgroup), token[0]) for token in TOKEN.finditer(statement)).split())
