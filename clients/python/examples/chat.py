"""A conversation in the terminal, printed as it is generated: python chat.py [MODEL]. Ctrl-D ends it."""

import sys

from zoe_client import Client, Message, ZoeError


def main(model: str | None) -> None:
    """Reads lines and prints answers; a failed turn is dropped, so that it can be tried again."""
    turns: list[str | Message] = []
    with Client() as client:
        while (line := prompt()) is not None:
            turns.append(line)
            try:
                with client.stream(turns, model=model, session_id="chat", max_output_tokens=1000) as stream:
                    for text in stream.text_stream():
                        print(text, end="", flush=True)
                    turns.append(stream.final().message)
            except ZoeError as error:
                turns.pop()
                print(f"[{error}]", end="")
            print()


def prompt() -> str | None:
    """Returns the next line, or None at the end."""
    try:
        return input("> ")
    except EOFError:
        return None


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
