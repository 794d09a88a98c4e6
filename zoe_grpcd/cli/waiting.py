"""Tells of a call that waits, as the daemon has said when to come back.

The one rule: it goes to standard error, and with `--json` it is a JSON object of its own line.
"""

import json
import sys
from collections.abc import Callable

from zoe_client import ZoeError

SHORT = 1.0  # s; a wait that nobody notices


def tell_as(*, json_wanted: bool) -> Callable[[ZoeError, float], None]:
    """What tells of a wait: why it is one, and for how many seconds."""

    def tell(error: ZoeError, seconds: float) -> None:
        if seconds < SHORT:
            return
        said = f"zoe-grpcd: {error}; trying again in {seconds:.0f} s, unless you press Ctrl-C"
        if json_wanted:
            waits = {"reason": error.reason, "message": error.message, "seconds": seconds}
            said = json.dumps({"waiting": waits})
        print(said, file=sys.stderr, flush=True)

    return tell
