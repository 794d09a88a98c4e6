"""An answer within a time, or none: python deadline.py 5 "Name a river.".

One deadline holds for everything: the daemon's queue, the load of a model, and each try again. What is repeated by
itself is safe to repeat: nothing of an answer had come, or the daemon said when to come back.
"""

import sys

from zoe_client import Client, DeadlineExceeded, DeadlineUnreachable, ResourceExhausted, ZoeError


def main(seconds: float, question: str) -> int:
    """Prints the answer, or what to do about there being none."""
    try:
        with Client(max_retries=5) as client:
            print(client.complete(question, timeout=seconds, max_output_tokens=50).text)
    except DeadlineUnreachable as error:
        print(f"it would take longer: {error.message}", file=sys.stderr)
        return 1
    except DeadlineExceeded:
        print(f"no answer within {seconds:g} s", file=sys.stderr)
        return 1
    except ResourceExhausted as error:
        print(f"too much to do; come back in {error.retry_after or 1:.1f} s", file=sys.stderr)
        return 1
    except ZoeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, " ".join(sys.argv[2:]) or "Name a river.")
    )
