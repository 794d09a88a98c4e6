"""How long one decision takes over a fleet of 16 backends with 8 models each, without gRPC around it.

It is the daemon's own way from a checked request to a Decision: read the intent, look at the fleet, filter, estimate,
score, explain. A request comes in and goes out before each, so that no picture of the fleet is ever reused.
"""

import statistics
import time

from zoe_grpcd.admission import WaitingRoom
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.intents import SHIPPED
from zoe_grpcd.core.observation import ModelStatus, Observation
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.deciding import Rules
from zoe_grpcd.fleet import Fleet
from zoe_grpcd.router import Router
from zoe_grpcd.run import Around, Reliability

from .calls import PROMPT

BACKENDS, MODELS = 16, 8
DECISIONS = 2_000


def milliseconds_to_decide() -> float:
    """Returns the median over DECISIONS decisions on a request that any of the 128 deployments may serve.

    CPU time: what else runs on the machine is no part of it.
    """
    fleet = full_fleet()
    policy = Policy()
    rules = Rules(Resolver(policy, SHIPPED), policy, Reliability())
    router = Router(fleet, rules, {}, WaitingRoom(), Around(time.monotonic, lambda _: None))
    message = {"role": "user", "content": PROMPT}
    ask = Ask(Generation((message,)), text=PROMPT, prompt_bytes=len(PROMPT))
    times = []
    lease = fleet.leases.take(router.route(ask).chosen.deployment, time.monotonic())
    for _ in range(DECISIONS):
        start = time.thread_time()
        decision = router.route(ask)
        times.append(time.thread_time() - start)
        fleet.leases.release(lease, None, time.monotonic())
        lease = fleet.leases.take(decision.chosen.deployment, time.monotonic())
    return 1e3 * statistics.median(times)


def full_fleet() -> Fleet:
    """Returns a fleet in which every backend is ready and has all its models loaded."""
    fleet = Fleet()
    now = time.monotonic()
    for b in range(BACKENDS):
        name = f"backend-{b:02}"
        models = tuple(
            ModelStatus(f"model-{m}", context_tokens=8192, parameters=float(m + 1)) for m in range(MODELS)
        )
        fleet.add(Backend(name, "llamacpp", f"http://127.0.0.1:{9000 + b}"), now)
        fleet.health.observe(name, Observation(ok=True, models=models, slots=4, busy=0), now)
    return fleet
