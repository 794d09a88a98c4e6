"""From what the caller asked for to the models that may answer, and why.

The steps are tried in this order, and the first that applies decides:

    exact      the target names a model that is served or configured (Ollama's ":latest" may be left out)
    alias      the name stands for a model, or for a group of models
    pattern    the operator says where names like this one go
    capability the target lists capabilities in place of a name, or the request needs one that the operator cares about
    intent     given, or read from the request: it says what is wanted, and leaves the choice to the strategy
    default    the default model, for an intent that wants nothing (chat), and when nobody else may serve

What comes after a tier in `tiers` is tried when no deployment of the tier may serve: the caller's fallback models, then
those of the pattern and the rules, then the fallback chain.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.chains import chain_for
from zoe_grpcd.core.classify import Classifier, KeywordClassifier, Shape
from zoe_grpcd.core.decision import Reason
from zoe_grpcd.core.demands import Wanted, implied, wanted
from zoe_grpcd.core.errors import InvalidRequest, ModelNotFound, NoHealthyBackend, Violation, ZoeError
from zoe_grpcd.core.intents import CHAT, Intent
from zoe_grpcd.core.naming import Models, Names
from zoe_grpcd.core.policy import Policy
from zoe_grpcd.core.resolution import Resolution
from zoe_grpcd.core.rules import applying, guessed_tokens
from zoe_grpcd.core.sizes import Bounds
from zoe_grpcd.core.tiers import ANY, Selection, Tier

__all__ = ["AUTO", "Policy", "Resolution", "Resolver", "reads_intent", "shape_of"]

AUTO = "auto"
# A backend that was never seen is looked at again within this, by default (seconds).
LOOKED_AT_AGAIN = 5.0


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
        self._names = Names(policy.aliases, policy.patterns, policy.chains)

    def mistakes(self, target: Target, backends: Collection[str]) -> Iterator[Violation]:
        """What a target names that does not exist here; `backends` are the names of all that do."""
        if target.intent and target.intent not in self._intents:
            yield Violation("spec.target.auto.intent", f"must be one of {', '.join(sorted(self._intents))}")
        for name in ("allowed_backends", "excluded_backends"):
            if unknown := sorted(getattr(target, name) - set(backends)):
                known = f"here are {', '.join(sorted(backends))}" if backends else "here is none"
                yield Violation(f"spec.target.{name}", f"must be names of backends, not {unknown}; {known}")

    def resolve(self, ask: Ask, models: Models, silent: Sequence[str] = ()) -> Resolution:
        """The models that may answer; `models` has the public names as keys, `silent` are backends whose models are not
        known yet.

        Raises ModelNotFound with the nearest names, NoHealthyBackend if a silent backend may have the model, or
        InvalidRequest for an intent that does not exist.
        """
        if _is_named(ask.target):
            resolution = self._named(ask, models)
        elif _is_capable(ask.target):
            resolution = self._capable(ask, models)
        else:
            resolution = self._auto(ask, models)
        if self._policy.rules:
            self._rule(ask, resolution, models)
        self._fall_back(ask, resolution, models)
        if not resolution.tiers:
            raise self._unknown(ask.target.model, models, silent)
        return resolution

    # --------------------------------------------------------------------------------------------- the first steps

    def _named(self, ask: Ask, models: Models) -> Resolution:
        name = ask.target.model
        found = self._names.find(name, models)
        if found is None:
            why = f"model {name!r} is not served here; a fallback is"
            return Resolution((), Reason.FAILOVER, name, why)
        prefer = (found.place,) if found.place else ()
        return Resolution(found.tiers, found.reason, name, found.why, prefer=prefer, fallback=found.fallback)

    def _capable(self, ask: Ask, models: Models) -> Resolution:
        target = ask.target
        asked = [*sorted(target.required), *sorted(target.preferred - target.required)]
        words = [f"capability {name}" for name in sorted(target.required | target.preferred)]
        words += [f"label {key}={value}" for key, value in sorted(target.labels.items())]
        if target.min_context_tokens:
            words.append(f"a window of {target.min_context_tokens} tokens")
        demand = wanted(asked, self._policy.capabilities)
        return Resolution(
            self._wanted_tiers(demand, models),
            Reason.CAPABILITY,
            "",
            ", ".join(words),
            required=target.required - demand.defined,
            preferred=target.preferred - demand.defined,
            strategy=demand.strategy,
            min_context=demand.min_context,
        )

    def _auto(self, ask: Ask, models: Models) -> Resolution:
        intent, why = self._intent(ask)
        demand = wanted(
            implied(ask, self._policy.long_context_tokens) if self._policy.capabilities else (),
            self._policy.capabilities,
        )
        reason, tiers = Reason.INTENT, self._wanted_tiers(demand, models)
        if demand.names:
            reason, why = Reason.CAPABILITY, f"needs {', '.join(demand.names)}; {why}"
        if intent.model and (own := self._names.meant(intent.model, models)):
            rest = tiers[-1]._replace(reason=Reason.FAILOVER, why="any other, since that cannot serve it")
            tiers, why = (*tiers[:-1], *own, rest), f"{why}, whose model is {intent.model!r}"
        favours, preferred = intent.favours, intent.preferred | intent.required
        if guessed_tokens(ask) > self._policy.long_context_tokens:
            favours, preferred = "context", frozenset()
            why = f"{why}; the prompt is long, so a large window counts first"
            undecided = False
        else:
            undecided = tiers == (ANY,) and intent.name == CHAT and not ask.target.intent
        return Resolution(
            tiers,
            reason,
            ask.target.model,
            why,
            intent=intent.name,
            required=intent.required if ask.target.intent or intent.binding else frozenset(),
            preferred=preferred,
            favours=favours,
            defaults=_fitting(self._defaults[intent.name], ask),
            system_prompt=intent.system_prompt,
            strategy=demand.strategy or intent.strategy,
            min_context=demand.min_context,
            undecided=undecided,
        )

    def _wanted_tiers(self, demand: Wanted, models: Models) -> tuple[Tier, ...]:
        """The preferred models, each in its turn, then whoever is large enough."""
        tiers = [
            tier
            for name in demand.models
            for tier in self._names.meant(name, models, why=f"preferred model {name!r}")
        ]
        return tuple(_sized(tier, demand.sizes) for tier in (*tiers, ANY))

    def _default(self, models: Models) -> tuple[Tier, ...]:
        name = self._policy.default_model
        why = f"default model {name!r}"
        return self._names.meant(name, models, Reason.DEFAULT_MODEL, why) if name else ()

    def _intent(self, ask: Ask) -> tuple[Intent, str]:
        if ask.target.intent:
            if ask.target.intent not in self._intents:
                violations = tuple(self.mistakes(replace(Target(), intent=ask.target.intent), ()))
                raise InvalidRequest("the intent does not exist", violations=violations)
            return self._intents[ask.target.intent], f"intent {ask.target.intent}, given by the caller"
        verdict = ask.verdict
        if verdict is None or verdict.intent not in self._intents:
            verdict = self._classifier.classify(ask.text, shape_of(ask))
        signs = f" ({', '.join(verdict.signs[:3])})" if verdict.signs else ""
        return self._intents[verdict.intent], f"intent {verdict.intent}{signs}"

    # --------------------------------------------------------------------------------------------- rules and chains

    def _rule(self, ask: Ask, resolution: Resolution, models: Models) -> None:
        """Adds what the rules for this request prefer, demand and fall back on."""
        rules = applying(self._policy.rules, ask)
        if not rules:
            return
        prefer = (self._selected(rule.prefer, models) for rule in rules if rule.prefer)
        resolution.prefer = (*prefer, *resolution.prefer)
        resolution.require = tuple(self._selected(rule.require, models) for rule in rules if rule.require)
        fallbacks = (resolution.fallback, *(rule.fallback for rule in rules))
        resolution.fallback = next(filter(None, fallbacks), "")
        resolution.rules = ", ".join(rule.name for rule in rules)
        resolution.demands = ", ".join(rule.name for rule in rules if rule.require)
        resolution.why = f"{resolution.why}; {resolution.rules}"

    def _selected(self, selection: Selection, models: Models) -> Selection:
        """The selection with models in place of groups."""
        if not selection.models:
            return selection
        return replace(
            selection, models=self._names.group(sorted(selection.models), models) or selection.models
        )

    def _fall_back(self, ask: Ask, resolution: Resolution, models: Models) -> None:
        """Adds the tiers for when nobody of the first ones may serve: the caller's, the operator's, the chain's."""
        if resolution.undecided and not resolution.prefer:
            resolution.tiers = (*self._default(models), *resolution.tiers)
        given = [name for name in (*ask.target.fallback_models, resolution.fallback) if name]
        if not (given or resolution.intent or self._policy.chains):
            return
        later = [tier for name in given for tier in self._names.fallback(name, models)]
        if resolution.intent:
            later += [tier for tier in self._default(models) if tier not in resolution.tiers]
        if chains := self._policy.chains:
            called = next((name for name in given if self._names.is_chain(name, models)), "")
            own = "" if called and called == resolution.fallback else self._chain_for(ask, resolution)
            later += self._names.chain(own, models, named=_is_named(ask.target))
            resolution.chain = chains.get(called or own)
        resolution.tiers = (*resolution.tiers, *later)

    def _chain_for(self, ask: Ask, resolution: Resolution) -> str:
        """The name of the chain that a request has by what it asks for; a name that nobody knows has none."""
        name, chains = ask.target.model, self._policy.chains
        if _is_named(ask.target) and not resolution.tiers and name not in (*chains, *self._policy.aliases):
            return ""
        return chain_for(chains, self._owners(ask, resolution))

    def _owners(self, ask: Ask, resolution: Resolution) -> Iterator[str]:
        """The names under which a chain for this request may stand, the most specific first."""
        if _is_named(ask.target):
            yield ask.target.model
            if resolution.tiers and (only := resolution.tiers[0].models) and len(only) == 1:
                yield from only
        yield from sorted(ask.target.required | resolution.required | ask.needs)
        yield from sorted(ask.target.preferred)
        yield resolution.intent

    def _unknown(self, name: str, models: Models, silent: Sequence[str]) -> ZoeError:
        served_aliases = (alias for alias in self._policy.aliases if self._names.find(alias, models))
        close = get_close_matches(name, [*models, *served_aliases], n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
        what = f"no model or alias is named {name!r}"
        if members := self._policy.aliases.get(name):
            what = f"alias {name!r} stands for {', '.join(map(repr, members))}, and nobody serves that"
        metadata = {"model": name, "did_you_mean": ",".join(close)}
        if silent:
            text = f"{what} so far, and what is served by {', '.join(silent)} is not known yet{hint}"
            return NoHealthyBackend(text, metadata=metadata, retry_after=LOOKED_AT_AGAIN)
        return ModelNotFound(f"{what}{hint}", metadata=metadata)


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
        prompt_tokens=int(guessed_tokens(ask)),
        wants_json=ask.generation.response_format is not None,
    )


def _sized(tier: Tier, sizes: Bounds | None) -> Tier:
    """Those of a tier that are of such a size."""
    return tier._replace(only=replace(tier.only or Selection(), sizes=sizes)) if sizes else tier


def _defaults(intent: Intent) -> dict[str, Any]:
    limit = {} if intent.max_output_tokens is None else {"max_output_tokens": intent.max_output_tokens}
    return {**intent.sampling, **limit}


def _fitting(defaults: Mapping[str, Any], ask: Ask) -> Mapping[str, Any]:
    """The defaults without a limit for an answer whose form is given: half of a JSON object is none."""
    if ask.generation.response_format is None or "max_output_tokens" not in defaults:
        return defaults
    return {name: value for name, value in defaults.items() if name != "max_output_tokens"}
