"""On which grounds a choice was made: the step of the hierarchy that decided, as a reason and in words."""

from zoe_grpcd.core.domain import Reason
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.scoring import Choice

# What leaves it open which model serves, so that a rule that the chosen one follows has decided.
_LEFT_OPEN = {Reason.CAPABILITY, Reason.INTENT}


def reason_of(question: Question, choice: Choice) -> Reason:
    """The step that decided; after a failure, that."""
    if question.excluded:
        return Reason.FAILOVER
    resolution = question.resolution
    reason = resolution.tiers[choice.step].reason or resolution.reason
    return Reason.RULE if reason in _LEFT_OPEN and _follows_rule(question, choice) else reason


def words_of(question: Question, choice: Choice) -> str:
    """What was asked for, how it was understood, and which step it came to."""
    resolution = question.resolution
    step = resolution.tiers[choice.step].why
    return f"{resolution.why}; {step}" if step else resolution.why


def _follows_rule(question: Question, choice: Choice) -> bool:
    chosen, resolution = choice.options[choice.best], question.resolution
    backend = chosen.gate.view.backend
    return bool(resolution.rules) and any(
        selection.holds(chosen.view, backend) for selection in (*resolution.require, *resolution.prefer)
    )
