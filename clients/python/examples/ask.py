"""Asks one question and says who answered: python ask.py "Why is the sky blue?"."""

import sys

from zoe_client import Client, NoHealthyBackend, Unavailable, ZoeError


def main(question: str) -> int:
    """Prints the answer, where it came from and what it took."""
    try:
        with Client() as client:
            answer = client.complete(question, intent="explain", max_output_tokens=200, timeout=60)
    except NoHealthyBackend as error:
        print(f"no backend is up; try again in {error.retry_after or 5:.0f} s", file=sys.stderr)
        return 1
    except Unavailable as error:
        print(f"is the daemon running? {error}", file=sys.stderr)
        return 1
    except ZoeError as error:
        print(error, file=sys.stderr)
        return 1
    chosen = answer.decision.chosen
    print(answer.text)
    print(f"-- {answer.model} on {chosen.backend}, {answer.usage.completion_tokens} tokens")
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "Why is the sky blue?"))
