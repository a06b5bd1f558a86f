"""Makes the passwords that deploy/compose.yaml needs: `python3 deploy/make_secrets.py [FOLDER]`, once.

Uses only the standard library. FOLDER defaults to deploy/secrets, which git ignores. An existing folder is not changed.
"""

import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent / "secrets"
SERVICES = ("ingest", "processor")
OUR_KEYS = "~arq:* ~headrace:* &headrace:*"
# No administrative or dangerous commands; arq logs INFO when it starts.
COMMANDS = "+@all -@admin -@dangerous +info"

NewPassword = Callable[[], str]


def new_password() -> str:
    """Return 256 random bits that need no quoting in a URL, in SQL or in an ACL."""
    return secrets.token_urlsafe(32)


def files_of(new: NewPassword = new_password) -> dict[str, str]:
    """Return the name and content of every file."""
    postgres = {user: new() for user in ("migrate", *SERVICES)}
    valkey = {user: new() for user in SERVICES}
    s3 = {user: new() for user in SERVICES}
    signing = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    sealing = base64.b64encode(secrets.token_bytes(32)).decode()
    environs = {user: {"HEADRACE_DATABASE_URL": _database_url(user, word)} for user, word in postgres.items()}
    for user in SERVICES:
        environs[user] |= {
            "HEADRACE_REDIS_URL": f"redis://{user}:{valkey[user]}@valkey:6379/0",
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": s3[user],
        }
    environs["processor"]["HEADRACE_WEBHOOK_SECRET"] = signing
    for user in SERVICES:
        environs[user]["HEADRACE_ENCRYPTION_KEYS"] = sealing
    return {
        "postgres_password": new(),
        "passwords.sql": _role_passwords(postgres),
        "valkey.acl": _valkey_users(valkey),
        "s3.json": _s3_identities(s3),
        **{f"{user}.env": _env_file(environ) for user, environ in environs.items()},
        "watch.env": "HEADRACE_API_KEY=\n",  # of the first key, which only a running service can make
    }


def _database_url(user: str, password: str) -> str:
    return f"postgresql://headrace_{user}:{password}@postgres:5432/headrace"


def _role_passwords(postgres: dict[str, str]) -> str:
    return "".join(f"ALTER ROLE headrace_{user} PASSWORD '{word}';\n" for user, word in postgres.items())


def _valkey_users(valkey: dict[str, str]) -> str:
    """Unauthenticated clients may only PING. The ACL holds the sha256 of the passwords."""
    users = "".join(
        f"user {user} on #{hashlib.sha256(word.encode()).hexdigest()} {OUR_KEYS} {COMMANDS}\n"
        for user, word in valkey.items()
    )
    return "user default on nopass -@all +ping\n" + users


def _s3_identities(s3: dict[str, str]) -> str:
    actions = [f"{action}:headrace" for action in ("Read", "Write", "List")]
    identities = [
        {"name": user, "credentials": [{"accessKey": user, "secretKey": word}], "actions": actions}
        for user, word in s3.items()
    ]
    return json.dumps({"identities": identities}, indent=2) + "\n"


def _env_file(environ: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in environ.items())


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files. Raise FileExistsError for an existing folder: existing databases have its passwords.

    Only the owner can enter the folder. The containers' users can read the files, as their ids are not known here.
    """
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        path = folder / name
        path.write_text(content)
        path.chmod(0o600 if path.suffix == ".env" else 0o644)  # Compose itself reads the former


def main(arguments: list[str]) -> int:
    """Write the files and return the exit status."""
    folder = Path(arguments[0]) if arguments else FOLDER
    try:
        write(folder, files_of())
    except OSError as error:
        print(f"{folder}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"Wrote the passwords to {folder}. Keep it, and keep it secret.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
