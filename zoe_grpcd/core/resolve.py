"""From what the caller asked for to the models that may answer, and why: exact name, alias, capability, intent.

The steps are tried in this order, and the first that applies decides:

    exact      the target names a model that is served or configured (Ollama's ":latest" may be left out)
    alias      the name stands for a model, or for a group of models
    capability the target lists capabilities in place of a name
    auto       an intent, given or read from the request, says what is wanted

What comes after a tier in `tiers` is tried when no deployment of the tier may serve: the caller's fallback models,
then, for auto, the default model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from zoe_grpcd.core.classify import Classifier, KeywordClassifier, Shape
from zoe_grpcd.core.domain import Ask, Reason, Target
from zoe_grpcd.core.errors import InvalidRequest, ModelNotFound, Violation
from zoe_grpcd.core.intents import Intent

AUTO = "auto"

Tier = frozenset[str] | None
"""Public names of models; None: every deployment that auto may get."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator set up for deciding."""

    latency_weight: float = 0.4
    success_weight: float = 0.4
    cost_weight: float = 0.2
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_model: str = ""
    strategy: str = "usage_based"
    model_strategies: Mapping[str, str] = field(default_factory=dict)  # by public name
    long_context_tokens: int = 8000
    prefer_warm: bool = True  # False: the time to load does not count in the score
    drop_params: bool = False  # True: what a backend cannot honour is dropped and reported, not refused
    config_generation: int = 1


@dataclass(slots=True)
class Resolution:
    """Which models may answer, in tiers, and what is wanted of them."""

    tiers: tuple[Tier, ...]
    reason: Reason
    requested_model: str
    why: str  # in words, for the explanation
    intent: str = ""
    required: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    favours: str = ""  # "latency", "quality", "context" or "" for the plain weights
    defaults: Mapping[str, Any] = field(
        default_factory=dict
    )  # options of the intent, where the caller set nothing
    system_prompt: str = ""  # of the intent, where the caller sent none
    ends_with_default: bool = False  # the last tier is the default model
    strategy: str = ""  # of the intent or capability; empty: the configured one


class Resolver:
    """Holds what the operator set up; made anew when the config changes.

    `classifier` finds the intent of a request that brings no verdict; by default it goes by keywords. It is called in
    the middle of a decision, so it has to be quick: a slow one gives its verdict in `Ask.verdict` before.
    """

    def __init__(
        self, policy: Policy, intents: Sequence[Intent], classifier: Classifier | None = None
    ) -> None:
        self._policy = policy
        self._intents = {intent.name: intent for intent in intents}
        self._defaults = {intent.name: _defaults(intent) for intent in intents}
        self._classifier = classifier or KeywordClassifier(intents)

    def resolve(self, ask: Ask, models: Mapping[str, object]) -> Resolution:
        """The models that may answer; `models` has the public names as keys.

        Raises ModelNotFound with the nearest names, or InvalidRequest for an intent that does not exist.
        """
        if _is_named(ask.target):
            return self._named(ask, models)
        if _is_capable(ask.target):
            return self._capable(ask, models)
        return self._auto(ask, models)

    def _named(self, ask: Ask, models: Mapping[str, object]) -> Resolution:
        name = ask.target.model
        found = self._lookup(name, models)
        later = self._fallbacks(ask, models)
        if found is None and not later:
            raise self._unknown(name, models)
        if found is None:
            return Resolution(
                later, Reason.FAILOVER, name, f"model {name!r} is not served here; a fallback model is"
            )
        tier, reason = found
        why = f"model {name!r} by name" if reason is Reason.EXACT_MODEL else f"alias {name!r}"
        return Resolution((tier, *later), reason, name, why)

    def _lookup(self, name: str, models: Mapping[str, object]) -> tuple[Tier, Reason] | None:
        for exact in (name, f"{name}:latest"):
            if exact in models:
                return frozenset((exact,)), Reason.EXACT_MODEL
        members = self._members(name, models, frozenset())
        return (members, Reason.ALIAS) if members else None

    def _members(self, name: str, models: Mapping[str, object], seen: frozenset[str]) -> frozenset[str]:
        """The models behind an alias, through aliases of aliases; a circle ends where it began."""
        members: set[str] = set()
        for member in self._policy.aliases.get(name, ()):
            if member in models:
                members.add(member)
            elif f"{member}:latest" in models:
                members.add(f"{member}:latest")
            elif member not in seen:
                members |= self._members(member, models, seen | {name})
        return frozenset(members)

    def _fallbacks(self, ask: Ask, models: Mapping[str, object]) -> tuple[Tier, ...]:
        found = (self._lookup(name, models) for name in ask.target.fallback_models)
        return tuple(tier for tier, _ in filter(None, found))

    def _unknown(self, name: str, models: Mapping[str, object]) -> ModelNotFound:
        served_aliases = (alias for alias in self._policy.aliases if self._lookup(alias, models))
        close = get_close_matches(name, [*models, *served_aliases], n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
        what = f"no model or alias is named {name!r}"
        if members := self._policy.aliases.get(name):
            what = f"alias {name!r} stands for {', '.join(map(repr, members))}, and nobody serves that"
        return ModelNotFound(
            f"{what}{hint}",
            metadata={"model": name, "did_you_mean": ",".join(close)},
        )

    def _capable(self, ask: Ask, models: Mapping[str, object]) -> Resolution:
        target = ask.target
        wanted = [f"capability {name}" for name in sorted(target.required | target.preferred)]
        wanted += [f"label {key}={value}" for key, value in sorted(target.labels.items())]
        if target.min_context_tokens:
            wanted.append(f"a window of {target.min_context_tokens} tokens")
        return Resolution(
            (None, *self._fallbacks(ask, models)),
            Reason.CAPABILITY,
            "",
            ", ".join(wanted),
            required=target.required,
            preferred=target.preferred,
        )

    def _auto(self, ask: Ask, models: Mapping[str, object]) -> Resolution:
        intent, why = self._intent(ask)
        tiers: tuple[Tier, ...] = (None, *self._fallbacks(ask, models))
        reason = Reason.INTENT
        if intent.model and (found := self._lookup(intent.model, models)):
            tiers, why = (found[0], *tiers), f"{why}, whose model is {intent.model!r}"
        default = self._lookup(self._policy.default_model, models) if self._policy.default_model else None
        if default:
            tiers = (*tiers, default[0])
        favours, preferred = intent.favours, intent.preferred | intent.required
        if ask.prompt_bytes / 3.6 > self._policy.long_context_tokens:
            favours, preferred = "context", frozenset()
            why = f"{why}; the prompt is long, so a large window counts first"
        return Resolution(
            tiers,
            reason,
            ask.target.model,
            why,
            intent=intent.name,
            required=intent.required if ask.target.intent else frozenset(),
            preferred=preferred,
            favours=favours,
            defaults=self._defaults[intent.name],
            system_prompt=intent.system_prompt,
            strategy=intent.strategy,
            ends_with_default=default is not None,
        )

    def _intent(self, ask: Ask) -> tuple[Intent, str]:
        if ask.target.intent:
            if ask.target.intent not in self._intents:
                known = ", ".join(sorted(self._intents))
                raise InvalidRequest(
                    "the intent does not exist",
                    violations=(Violation("spec.target.auto.intent", f"must be one of {known}"),),
                )
            return self._intents[ask.target.intent], f"intent {ask.target.intent}, given by the caller"
        verdict = ask.verdict
        if verdict is None or verdict.intent not in self._intents:
            verdict = self._classifier.classify(ask.text, shape_of(ask))
        signs = f" ({', '.join(verdict.signs[:3])})" if verdict.signs else ""
        return self._intents[verdict.intent], f"intent {verdict.intent}{signs}"


def _is_named(target: Target) -> bool:
    return bool(target.model) and target.model != AUTO


def _is_capable(target: Target) -> bool:
    return bool(target.required or target.preferred or target.labels or target.min_context_tokens)


def reads_intent(ask: Ask) -> bool:
    """Whether the intent of a request decides, and the caller has not given it."""
    target = ask.target
    return not (target.intent or _is_named(target) or _is_capable(target))


def shape_of(ask: Ask) -> Shape:
    """What a request shows besides its words."""
    return Shape(
        has_image=ask.images > 0,
        has_tools=bool(ask.generation.tools),
        has_context=ask.has_context,
        prompt_tokens=int(ask.prompt_bytes / 3.6),
        wants_json=ask.generation.response_format is not None,
    )


def _defaults(intent: Intent) -> dict[str, Any]:
    limit = {} if intent.max_output_tokens is None else {"max_output_tokens": intent.max_output_tokens}
    return {**intent.sampling, **limit}
