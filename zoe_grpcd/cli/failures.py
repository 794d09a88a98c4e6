"""What went wrong, as the commands that talk to a daemon say it to a person.

The one rule: it says what was looked for, where, and what would help, in one line.
"""

from zoe_client import ZoeError

# gRPC's words, 1.85 and before, where nobody is at the target.
UNREACHED = ("connections to all backends failing", "failed to connect to all addresses")


def in_words(error: Exception) -> str:
    """One line, without the name of the command."""
    if isinstance(error, ZoeError) and error.message.startswith(UNREACHED):
        return f"no daemon answers, zoe-grpcd serve starts one: {_place(error.message)}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _place(message: str) -> str:
    """Where it looked and what is there, in the words of gRPC, whose "backends" are not ours."""
    return message.partition("last error: ")[2] or message
