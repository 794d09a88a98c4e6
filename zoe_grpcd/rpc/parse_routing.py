"""Where a request may go, and what matters when a backend is chosen."""

from typing import Any

from zoe.inference.v1 import routing_pb2
from zoe_grpcd.core.answer import Seam
from zoe_grpcd.core.ask import NO_LIMITS, Limits, Target
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.strategies import STRATEGIES
from zoe_grpcd.rpc.fields import Violations, seconds_of

MAX_ATTEMPTS = 10
LONGEST_MODEL = (
    512  # characters of a name: it is kept with the decision, and what is known of it is remembered
)
LOCALITIES = {
    routing_pb2.LOCALITY_UNSPECIFIED: Locality.UNSPECIFIED,
    routing_pb2.LOCALITY_LOCAL_ONLY: Locality.LOCAL_ONLY,
    routing_pb2.LOCALITY_PREFER_LOCAL: Locality.PREFER_LOCAL,
    routing_pb2.LOCALITY_ANY: Locality.ANY,
}
PRIORITIES: dict[int, str] = {
    number: name.removeprefix("PRIORITY_").lower() for name, number in routing_pb2.Priority.items() if number
}
NORMAL = "normal"
LEVELS = {number: name.removeprefix("LEVEL_") for name, number in routing_pb2.LatencyTarget.Level.items()}
LEVELS[routing_pb2.LatencyTarget.LEVEL_UNSPECIFIED] = ""
SEAMS = {routing_pb2.SeamQuality.Value(f"SEAM_QUALITY_{seam.name}"): seam for seam in Seam}
SEAMS[routing_pb2.SEAM_QUALITY_UNSPECIFIED] = Seam.TEXT_PREFILL
ANYTHING = Target()


def able(capability: str) -> Target:
    """Whoever has the capabilities of the metadata, separated by commas."""
    names = frozenset(name.strip() for name in capability.split(",")) - {""} if capability else None
    return Target(required=names) if names else ANYTHING


def target_of(target: routing_pb2.Target, notes: Violations) -> Target:
    """What the caller wants to be answered by."""
    given = [field.name for field, _ in target.ListFields()]
    if given == ["model"] and 0 < len(target.model) <= LONGEST_MODEL:
        return Target(target.model)  # the usual ones
    if given == ["auto"] and not target.auto.ListFields():
        return ANYTHING
    hint = target.capability
    if target.WhichOneof("selector") == "model" and not target.model:
        notes.add("spec.target.model", "must not be empty; leave the target out for auto")
    for path, names in (("model", (target.model,)), ("fallback_models", target.fallback_models)):
        if any(len(name) > LONGEST_MODEL for name in names):
            notes.add(f"spec.target.{path}", f"must be at most {LONGEST_MODEL} characters long")
    if target.auto.profile:
        notes.add("spec.target.auto.profile", "must be empty: no profiles are defined in this version")
    lists = {
        "capability.required": hint.required,
        "capability.preferred": hint.preferred,
        "fallback_models": target.fallback_models,
        "allowed_backends": target.allowed_backends,
        "excluded_backends": target.excluded_backends,
    }
    for path, names in lists.items():
        if not all(names):
            notes.add(f"spec.target.{path}", "must hold no empty name")
    return Target(
        target.model,
        frozenset(hint.required),
        frozenset(hint.preferred),
        dict(hint.labels),
        hint.min_context_tokens,
        target.auto.intent,
        tuple(target.fallback_models),
        frozenset(target.allowed_backends),
        frozenset(target.excluded_backends),
    )


def preferences_of(routing: routing_pb2.RoutingPreferences, notes: Violations) -> dict[str, Any]:
    """What matters when a backend is chosen, by the names of `Ask`."""
    if routing.locality not in LOCALITIES:
        notes.add("spec.routing.locality", "must be LOCAL_ONLY, PREFER_LOCAL or ANY")
    if routing.priority and routing.priority not in PRIORITIES:
        notes.add("spec.routing.priority", "must be BATCH, LOW, NORMAL, HIGH or CRITICAL")
    level = LEVELS.get(routing.latency_target.level)
    if level is None:
        notes.add("spec.routing.latency_target.level", "must be ULTRA_LOW, LOW, MEDIUM or HIGH")
    notes.between("spec.routing.cost.weight", routing.cost.weight, 0.0, 1.0)
    limit = None
    if routing.cost.HasField("max_cost_micro_usd"):
        if routing.cost.max_cost_micro_usd < 0:
            notes.add("spec.routing.cost.max_cost_micro_usd", "must not be negative")
        limit = routing.cost.max_cost_micro_usd / 1e6
    if routing.strategy and routing.strategy not in STRATEGIES:
        notes.add("spec.routing.strategy", f"must be one of {', '.join(STRATEGIES)}, or left out")
    _check_failover(routing.failover, notes)
    return {
        "priority": PRIORITIES.get(routing.priority, ""),
        "locality": LOCALITIES.get(routing.locality, Locality.UNSPECIFIED),
        "strategy": routing.strategy,
        "latency_level": level or "",
        "cost_weight": routing.cost.weight or None,
        "max_cost_usd": limit,
        "max_attempts": routing.failover.max_attempts or None,
        "hedge_after": seconds_of(
            "spec.routing.failover.hedge_after", routing.failover, "hedge_after", notes
        ),
        "allow_different_model": routing.failover.allow_different_model,
        "minimum_seam": SEAMS.get(routing.failover.minimum_seam, Seam.TEXT_PREFILL),
        "max_queue_time": seconds_of("spec.routing.max_queue_time", routing, "max_queue_time", notes),
    }


def limits_of(target: routing_pb2.LatencyTarget | None, deadline: float | None, notes: Violations) -> Limits:
    """What there is to keep of the deadline and of the caller's latency target."""
    if target is None:
        return Limits(deadline)
    path = "spec.routing.latency_target"
    first = seconds_of(f"{path}.time_to_first_token", target, "time_to_first_token", notes)
    total = seconds_of(f"{path}.total", target, "total", notes)
    return (
        NO_LIMITS if deadline is None and first is None and total is None else Limits(deadline, first, total)
    )


def priority_of(of_metadata: str, notes: Violations) -> str:
    """That of the metadata, else normal."""
    if not of_metadata:
        return NORMAL
    if of_metadata.lower() not in PRIORITIES.values():
        notes.add("x-priority", "must be batch, low, normal, high or critical")
    return of_metadata.lower()


def _check_failover(failover: routing_pb2.FailoverPolicy, notes: Violations) -> None:
    path = "spec.routing.failover"
    if failover.max_attempts > MAX_ATTEMPTS:
        notes.add(f"{path}.max_attempts", f"must be at most {MAX_ATTEMPTS}")
    if failover.minimum_seam not in SEAMS:
        notes.add(f"{path}.minimum_seam", "must be EXACT_TOKENS, TEXT_PREFILL, RESTART or NONE")
