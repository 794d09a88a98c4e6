"""keys new: a key that nobody can guess, and the line of the configuration that knows it. And the key of a command."""

import argparse
import hashlib
import json
import secrets
import sys
from pathlib import Path

PREFIX = "zoe-"
# Of chance: no more can be guessed than of a SHA-256.
KEY_BYTES = 32


def run(options: argparse.Namespace) -> int:
    """Makes one; returns the exit status."""
    key = f"{PREFIX}{secrets.token_urlsafe(KEY_BYTES)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    if options.json:
        print(json.dumps({"name": options.name, "key": key, "key_sha256": digest}))
        return 0
    print(key)
    print(
        "\nThat is the key; it is shown this once. Clients take it from $ZOE_GRPCD_API_KEY or --api-key-file."
        "\nThe daemon knows it by this line in auth.keys of the configuration, or in the auth.keys_file:\n",
        file=sys.stderr,
    )
    print(f"- {{name: {json.dumps(options.name, ensure_ascii=False)}, key_sha256: {digest}}}")
    return 0


def given(options: argparse.Namespace) -> str | None:
    """The key of a command that talks to a daemon; None: that of the environment, if there is one."""
    file = getattr(options, "api_key_file", None)
    return Path(file).read_text(encoding="utf-8").strip() if file else None
