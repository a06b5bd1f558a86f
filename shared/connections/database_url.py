"""What is wrong with the URL of a Postgres, before anybody connects: asyncpg would say so at the first connection."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SCHEMES = frozenset({"postgresql", "postgres"})
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def why_no_database(setting: str, url: str) -> str:
    """What is wrong with a setting, without a word of what is secret; empty: nothing, or it is not set."""
    problem = _problem(url) if url else ""
    return f"{setting} is invalid: {problem}" if problem else ""


def _problem(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # which repeats what it was given
        return "it is no URL"
    if parts.scheme not in SCHEMES:
        return "it must begin with postgresql://"
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = query.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        return f"its sslmode must be one of {', '.join(SSL_MODES)}"
    if mode.startswith("verify") and "sslrootcert" not in query:
        return f"sslmode={mode} needs sslrootcert=<file of the CA>"
    missing = [f"{name}={query[name]}" for name in FILES if name in query and not Path(query[name]).is_file()]
    return f"there is no file {missing[0]}" if missing else ""
