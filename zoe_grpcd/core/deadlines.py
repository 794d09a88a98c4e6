"""Whether a request can be done in time: by what was measured alone, and in favour of trying.

The rule: nobody is refused by a guess. A deployment of which nothing was timed is never too slow, and the parts of an
estimate that nobody has measured yet (a load, say) count nothing. Where nobody could measure how fast prompts are read,
since all were short or known to the server already, one counts with what is expected, but for no more than the quickest
first token that was seen. A deadline is out of reach when not even one answer in twenty would meet it:

    soonest = total * (ninety / total) ** (Z05 / Z90)        the 0.05-quantile of the lognormal of `core.estimate.chance`

A caller's latency target is held against what is expected, the middle of it, since it is a wish about candidates.
"""

from statistics import NormalDist

from zoe_grpcd.core.ask import Limits
from zoe_grpcd.core.decision import Estimate
from zoe_grpcd.core.estimate import Z90
from zoe_grpcd.core.views import DeploymentView

LEAST_CHANCE = 0.05
_POWER = NormalDist().inv_cdf(LEAST_CHANCE) / Z90


def measured_part(view: DeploymentView, expected: Estimate) -> Estimate:
    """An estimate without what nobody has measured; 0 in all where nothing was timed."""
    known = view.known
    prefill = expected.prefill if known.prefill else min(expected.prefill, view.quickest)
    if not known.token:  # nor do we know what those before it take
        seen = expected._replace(queue=0.0, load=0.0, prefill=prefill, decode=0.0)
    else:
        seen = expected._replace(load=expected.load * known.load, prefill=prefill)
    return seen._replace(ninety=expected.ninety * seen.total / expected.total) if expected.total > 0 else seen


def soonest(expected: Estimate) -> float:
    """Seconds until the end of an answer in the best of twenty cases."""
    if expected.total <= 0:
        return 0.0
    return float(expected.total * max(1.0, expected.ninety / expected.total) ** _POWER)


def too_slow(limits: Limits, view: DeploymentView, expected: Estimate) -> bool:
    """Whether this deployment cannot keep the limits of a request."""
    if _is_easy(limits, expected):
        return False
    seen = measured_part(view, expected)
    return (
        (limits.deadline is not None and soonest(seen) > limits.deadline)
        or (limits.first_token is not None and seen.time_to_first_token > limits.first_token)
        or (limits.total is not None and seen.total > limits.total)
    )


def _is_easy(limits: Limits, expected: Estimate) -> bool:
    """All of an estimate keeps them, so that what was measured of it does: the usual case, and the quickest to see."""
    deadline, first_token, total = limits
    whole = expected.total
    return (
        (deadline is None or whole <= deadline)
        and (total is None or whole <= total)
        and (first_token is None or expected.time_to_first_token <= first_token)
    )
