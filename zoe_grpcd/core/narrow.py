"""From those that may serve to those that should: what the caller and the operator prefer, one wish after the other.

Rule: a wish that nobody fulfils leaves all of them, so that nothing here ever refuses a request.
"""

from collections.abc import Callable

from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.eligible import Option, Question
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.rules import rank


def narrow(question: Question, options: list[Option], policy: Policy) -> list[Option]:
    """Keeps local ones if the caller prefers them, those that the operator's rules prefer, local ones unless the caller
    does not mind, those with most of the capabilities that are preferred, and last those of the kind for their size:
    where a model runs best is no reason to take one that can do less.
    """
    if len(options) < 2:
        return options
    locality, resolution = question.ask.locality, question.resolution
    if locality is Locality.PREFER_LOCAL:
        options = _kept(options, _is_local)
    for selection in resolution.prefer:
        options = _kept(options, lambda o, wish=selection: wish.holds(o.view, o.gate.view.backend))  # type: ignore[misc]
    if locality is not Locality.ANY:  # the usual case, and the options may be many
        options = [option for option in options if option.gate.view.backend.local] or options
    if preferred := resolution.preferred:
        options = _least(options, lambda o: -len(preferred & o.view.capabilities))
    if policy.sizes:
        options = _least(options, lambda o: _size_rank(o, policy))
    return options


def why_aside(question: Question, option: Option, chosen: Option) -> Reason:
    """Why an option that may serve is none of those that should."""
    for selection in question.resolution.prefer:
        if not selection.holds(option.view, option.gate.view.backend) and selection.holds(
            chosen.view, chosen.gate.view.backend
        ):
            return Reason.EXCLUDED
    away = _is_local(chosen) and not _is_local(option) and question.ask.locality is not Locality.ANY
    if away:
        return Reason.LOCALITY
    preferred = question.resolution.preferred
    if len(preferred & option.view.capabilities) < len(preferred & chosen.view.capabilities):
        return Reason.MISSING_CAPABILITY
    return Reason.EXCLUDED  # its kind is none for its size


def _size_rank(option: Option, policy: Policy) -> int:
    return rank(policy.sizes, option.view.parameters, option.gate.view.backend)


def _is_local(option: Option) -> bool:
    return option.gate.view.backend.local


def _kept(options: list[Option], is_wished: Callable[[Option], bool]) -> list[Option]:
    return [option for option in options if is_wished(option)] or options


def _least(options: list[Option], measure: Callable[[Option], int]) -> list[Option]:
    if len(options) < 2:
        return options
    found = [measure(option) for option in options]
    least = min(found)
    return [option for option, value in zip(options, found, strict=True) if value == least]
