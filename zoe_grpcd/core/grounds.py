"""On which grounds a choice was made: the step of the hierarchy that decided, as a reason and in words."""

from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Question, views_of
from zoe_grpcd.core.scoring import Choice
from zoe_grpcd.core.views import Snapshot

# What leaves it open which model serves, so that a rule that the chosen one follows has decided.
_LEFT_OPEN = {Reason.CAPABILITY, Reason.INTENT}


def reason_of(question: Question, choice: Choice) -> Reason:
    """The step that decided; after a failure, that."""
    if question.excluded:
        return Reason.FAILOVER
    resolution = question.resolution
    reason = resolution.tiers[choice.step].reason or resolution.reason
    return Reason.RULE if reason in _LEFT_OPEN and _follows_rule(question, choice) else reason


def words_of(question: Question, choice: Choice, snapshot: Snapshot) -> str:
    """What was asked for, how it was understood, and which step it came to."""
    resolution = question.resolution
    why, step = resolution.why, resolution.tiers[choice.step].why
    before = [tier for tier in resolution.tiers[: choice.step] if tier.reason is Reason.PATTERN]
    if before and not any(views_of(tier, snapshot) for tier in before):
        why = f"{why}; nobody there has such a name"
    if resolution.prefer and (unmet := _unmet(question, choice)):
        why = f"{why}; {unmet}"
    return f"{why}; {step}" if step else why


def _unmet(question: Question, choice: Choice) -> str:
    """What is preferred by rules, or by a pattern, and could not be had; empty: nothing."""
    chosen, wishes = choice.options[choice.best], question.resolution.prefer
    met = [wish.holds(chosen.view, chosen.gate.view.backend) for wish in wishes]
    if all(met):
        return ""
    return "not all that is preferred can serve it" if any(met) else "nobody who is preferred can serve it"


def place_of(choice: Choice, by: str) -> str:
    """How the chosen one stands among the options; `by` names the strategy, if that has to be said."""
    count, score = len(choice.options), choice.totals[choice.best]
    if count == 1:
        return "the only candidate"
    place = f"best of {count}{by}, score {score:.2f}"
    equals = choice.totals.count(score) - 1
    if not equals:
        return place
    options = zip(choice.options, choice.totals, strict=True)
    (_, own), (backend, model) = sorted(option.view.key for option, total in options if total == score)[:2]
    name = backend if model == own else f"{model} @ {backend}"
    others = f" and {equals - 1} more" if equals > 1 else ""
    return f"{place}, as has {name}{others}, which comes later by name"


def _follows_rule(question: Question, choice: Choice) -> bool:
    chosen, resolution = choice.options[choice.best], question.resolution
    backend = chosen.gate.view.backend
    of_rules = [one for one in (*resolution.require, *resolution.prefer) if one.permits is None]
    return bool(resolution.rules) and any(one.holds(chosen.view, backend) for one in of_rules)
