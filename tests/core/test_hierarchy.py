"""The whole hierarchy, from the request to the chosen deployment: patterns, capabilities, rules, sizes, chains."""

import re
from dataclasses import replace
from typing import Any

import pytest
from fakes import a_backend, a_question, a_resolver, a_snapshot, a_view, an_ask

from zoe_grpcd.core.ask import Ask, Target
from zoe_grpcd.core.backend import Deployment, Phase
from zoe_grpcd.core.chains import Chain, Step, condition_of
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.demands import CapabilityRule
from zoe_grpcd.core.errors import ContextTooLong, ModelNotFound, NoCapableBackend, NoHealthyBackend
from zoe_grpcd.core.explain import decision_of
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.licence import Locality
from zoe_grpcd.core.naming import Pattern
from zoe_grpcd.core.refusal import refusal_of
from zoe_grpcd.core.resolve import Policy
from zoe_grpcd.core.rules import Rule, SizeRule, When
from zoe_grpcd.core.scoring import choose
from zoe_grpcd.core.sizes import size_bounds
from zoe_grpcd.core.tiers import Selection
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

# backend -> kind, whether it is local, its models with their sizes
HOUSE: dict[str, tuple[str, bool, dict[str, float | None]]] = {
    "box": ("ollama", True, {"qwen2.5:3b": 3.0, "llama3:8b": 8.0}),
    "gpu": ("vllm", True, {"llama3:8b": 8.0, "meta/Llama-3-70B": 70.0}),
    "solo": ("llamacpp", True, {"mistral": 7.2}),
    "cloud": ("openai", False, {"gpt-4o": None, "gpt-4o-mini": None}),
}


def house(*down: str, **changes: dict[str, Any]) -> Snapshot:
    """The house with some backends down; `changes` are of the views of a backend."""
    backends = [
        BackendView(a_backend(name, kind=kind, local=local), Phase.DOWN if name in down else Phase.READY)
        for name, (kind, local, _) in HOUSE.items()
    ]
    views = [
        a_view(name, model, parameters=size, **changes.get(name, {}))
        for name, (_, _, models) in HOUSE.items()
        for model, size in models.items()
    ]
    return a_snapshot(backends, views)


def decide(
    ask: Ask, snapshot: Snapshot | None = None, intents: dict[str, Any] | None = None, **policy: Any
) -> Decision:
    """The decision; raises the refusal."""
    snapshot, settings = snapshot or house(), Policy(**policy)
    resolution = a_resolver(settings, intents).resolve(ask, snapshot.by_model)
    question = a_question(ask, resolution, min_window=resolution.min_context)
    choice = choose(question, snapshot, settings)
    if choice is None:
        raise refusal_of(question, snapshot, 1.0)
    return decision_of(question, choice, snapshot, settings, explain=True)


def chosen(decision: Decision) -> str:
    deployment = decision.chosen.deployment
    return f"{deployment.model} @ {deployment.backend}"


def a_pattern(text: str, fallback: str = "", **place: Any) -> Pattern:
    place = {key: frozenset(names) for key, names in place.items()}
    return Pattern(re.compile(text), fallback=fallback, **place)


def a_chain(*steps: Step) -> dict[str, Chain]:
    return {"default": Chain(steps)}


# ------------------------------------------------------------------------------------------------------------ patterns


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        # whoever there has a name that matches too
        ("llama-big", a_pattern("llama.*", kinds=["vllm"]), "llama3:8b @ gpu"),
        ("Llama-x", a_pattern("(?i).*llama.*70b|llama-x", backends=["gpu"]), "meta/Llama-3-70B @ gpu"),
        # a backend with one model gets whatever is sent there
        ("anything", a_pattern("any.*", kinds=["llamacpp"]), "mistral @ solo"),
        # nobody there: the pattern's fallback
        ("llama-big", a_pattern("llama.*", "qwen2.5:3b", kinds=["anthropic"]), "qwen2.5:3b @ box"),
        ("gpt-5", a_pattern("gpt-.*", backends=["cloud"]), "gpt-4o @ cloud"),
        # what the pattern calls the model is its name there
        ("ollama/qwen2.5:3b", a_pattern("ollama/(?P<model>.+)", kinds=["ollama"]), "qwen2.5:3b @ box"),
    ],
)
def test_a_pattern(name: str, pattern: Pattern, expected: str) -> None:
    decision = decide(an_ask(model=name), patterns=(pattern,))
    assert chosen(decision) == expected
    assert decision.reason is (Reason.FAILOVER if pattern.fallback else Reason.PATTERN)
    assert f"pattern '{pattern.expression.pattern}'" in decision.explanation
    assert decision.requested_model == name


def test_the_name_of_the_backend_comes_before_a_name_that_only_matches() -> None:
    """A configured model stands for a file whose name callers may know."""
    own = a_view("gpu", deployment=Deployment("zz", "gpu", "llama-big"))
    views = [*(view for found in house().by_model.values() for view in found), own]
    snapshot = a_snapshot(list(house().backends.values()), views)
    pattern = a_pattern("llama.*", kinds=["vllm"])
    assert chosen(decide(an_ask(model="llama-big"), snapshot, patterns=(pattern,))) == "zz @ gpu"


def test_a_model_that_has_several_names_is_still_the_only_one_of_its_backend() -> None:
    names = [a_view("solo", deployment=Deployment(name, "solo", "mistral")) for name in ("fast", "good")]
    snapshot = a_snapshot(list(house().backends.values()), names)
    pattern = a_pattern("any.*", kinds=["llamacpp"])
    assert chosen(decide(an_ask(model="anything"), snapshot, patterns=(pattern,))) == "fast @ solo"


def test_a_pattern_whose_fallback_serves_says_why() -> None:
    pattern = a_pattern("llama.*", "mistral", kinds=["vllm"])
    nobody = decide(an_ask(model="gpt-9"), patterns=(a_pattern("gpt-9", "mistral", kinds=["vllm"]),))
    down = decide(an_ask(model="llama-1"), house("gpu"), patterns=(pattern,))
    assert "(kinds vllm); nobody there has such a name; fallback 'mistral'" in nobody.explanation
    assert "(kinds vllm); fallback 'mistral'" in down.explanation
    assert "llama3:8b @ gpu would win if it were up" in down.explanation


def test_the_whole_name_has_to_match_and_the_first_pattern_counts() -> None:
    patterns = (a_pattern("llama", backends=["box"]), a_pattern("llama.*", backends=["gpu"]))
    assert chosen(decide(an_ask(model="llama-big"), patterns=patterns)) == "llama3:8b @ gpu"
    with pytest.raises(ModelNotFound):
        decide(an_ask(model="a-llama-big"), patterns=patterns)


def test_a_models_own_name_comes_first_and_is_preferred_where_the_pattern_says() -> None:
    pattern = a_pattern("llama.*|mistral", kinds=["vllm"])
    for policy in ({"patterns": (pattern,)}, {"patterns": (pattern,), "strategy": "lowest_cost"}):
        decision = decide(an_ask(model="llama3:8b"), **policy)
        assert (chosen(decision), decision.reason) == ("llama3:8b @ gpu", Reason.EXACT_MODEL)
    assert chosen(decide(an_ask(model="llama3:8b"), house("gpu"), patterns=(pattern,))) == "llama3:8b @ box"
    assert chosen(decide(an_ask(model="mistral"), patterns=(pattern,))) == "mistral @ solo"


def test_an_alias_comes_before_a_pattern() -> None:
    pattern = a_pattern("fast", kinds=["vllm"])
    decision = decide(an_ask(model="fast"), aliases={"fast": ("mistral",)}, patterns=(pattern,))
    assert (chosen(decision), decision.reason) == ("mistral @ solo", Reason.ALIAS)


@pytest.mark.parametrize("alias", ["house", "home"])
def test_an_alias_may_stand_for_a_name_that_only_a_pattern_knows(alias: str) -> None:
    pattern = a_pattern("llama-.*", "qwen2.5:3b", kinds=["llamacpp"])
    aliases = {"house": ("nobody", "llama-9"), "home": ("house",)}
    decision = decide(an_ask(model=alias), aliases=aliases, patterns=(pattern,))
    assert chosen(decision) == "mistral @ solo"
    assert decision.reason is Reason.PATTERN
    assert f"alias {'house'!r}" in decision.explanation
    down = decide(an_ask(model=alias), house("solo"), aliases=aliases, patterns=(pattern,))
    assert chosen(down) == "qwen2.5:3b @ box"


@pytest.mark.parametrize(
    ("ask", "policy", "intents", "reason"),
    [
        (an_ask("hello"), {"default_model": "llama-9"}, {}, Reason.DEFAULT_MODEL),
        (an_ask("hello"), {"default_model": "home", "aliases": {"home": ("llama-9",)}}, {}, Reason.DEFAULT_MODEL),
        (an_ask("Write a Python function"), {}, {"code": {"model": "llama-9"}}, Reason.INTENT),
        (
            an_ask(target=Target(required=frozenset({"poetry"}))),
            {"capabilities": {"poetry": CapabilityRule(("llama-9",), defined=True)}},
            {},
            Reason.CAPABILITY,
        ),
    ],
    ids=["default model", "alias", "intent", "capability"],
)  # fmt: skip
def test_a_name_that_only_a_pattern_knows_may_stand_wherever_a_model_is_named(
    ask: Ask, policy: dict[str, Any], intents: dict[str, Any], reason: Reason
) -> None:
    pattern = a_pattern("llama-.*", kinds=["llamacpp"])
    decision = decide(ask, intents=intents, patterns=(pattern,), **policy)
    assert (chosen(decision), decision.reason) == ("mistral @ solo", reason)
    assert "'llama-9'" in decision.explanation or "'home'" in decision.explanation
    assert (
        chosen(decide(ask, house("solo"), intents=intents, patterns=(pattern,), **policy)) != "mistral @ solo"
    )


def test_models_of_a_pattern_that_are_preferred_are_as_large_as_the_capability_asks() -> None:
    poetry = {"poetry": CapabilityRule(("llama-9",), min_size=50.0, defined=True)}
    pattern = a_pattern("llama-.*|meta/.*", kinds=["vllm", "llamacpp"])
    ask = an_ask(target=Target(required=frozenset({"poetry"})))
    assert chosen(decide(ask, patterns=(pattern,), capabilities=poetry)) == "meta/Llama-3-70B @ gpu"


def test_a_pattern_that_leads_to_nobody_says_so() -> None:
    with pytest.raises(ModelNotFound, match=r"model 'x-1' by pattern 'x-\.\*' \(kinds triton\)"):
        decide(an_ask(model="x-1"), patterns=(a_pattern("x-.*", kinds=["triton"]),))
    with pytest.raises(NoHealthyBackend, match="gpu"):
        decide(an_ask(model="llama-1"), house("gpu"), patterns=(a_pattern("llama.*", kinds=["vllm"]),))


def test_a_pattern_that_leads_to_nobody_does_not_wait_for_a_backend_that_it_does_not_mean() -> None:
    away = BackendView(a_backend("away", kind="llamacpp"), Phase.DOWN)
    seen = house()
    snapshot = replace(seen, backends={**seen.backends, "away": away})
    with pytest.raises(ModelNotFound):
        decide(an_ask(model="x-1"), snapshot, patterns=(a_pattern("x-.*", backends=["gpu"]),))
    with pytest.raises(NoHealthyBackend, match="away is not up"):
        decide(an_ask(model="x-1"), snapshot, patterns=(a_pattern("x-.*", backends=["away"]),))


# -------------------------------------------------------------------------------------------------------- capabilities


def test_the_preferred_models_of_a_capability_come_first_best_first() -> None:
    rule = CapabilityRule(("missing", "mistral", "qwen2.5:3b"), defined=True, strategy="lowest_cost")
    ask = an_ask(target=Target(required=frozenset({"code_generation"})))
    policy: dict[str, Any] = {"capabilities": {"code_generation": rule}}
    decision = decide(ask, **policy)
    assert (chosen(decision), decision.reason) == ("mistral @ solo", Reason.CAPABILITY)
    assert "preferred model 'mistral'" in decision.explanation
    assert decision.strategy == "lowest_cost"
    assert chosen(decide(ask, house("solo"), **policy)) == "qwen2.5:3b @ box"
    assert decide(ask, house("solo", "box"), **policy).reason is Reason.CAPABILITY


def test_a_capability_that_backends_tell_of_is_demanded() -> None:
    rule = CapabilityRule(("mistral",))
    ask = an_ask(target=Target(required=frozenset({"vision"})))
    seeing = {"capabilities": frozenset({"chat", "vision"})}
    assert chosen(decide(ask, house(gpu=seeing), capabilities={"vision": rule})).endswith("@ gpu")
    with pytest.raises(NoCapableBackend):
        decide(ask, capabilities={"vision": rule})


def test_the_smallest_model_of_a_capability() -> None:
    """One of unknown size is taken for large; 6.74 is a 7B."""
    rule = CapabilityRule(min_size=size_bounds(">= 7B").low, defined=True)
    ask = an_ask(target=Target(required=frozenset({"thought"})), locality=Locality.ANY)
    decision = decide(ask, capabilities={"thought": rule})
    eligible = {c.deployment.model for c in decision.candidates if c.eligible}
    assert eligible == {"llama3:8b", "meta/Llama-3-70B", "mistral", "gpt-4o", "gpt-4o-mini"}


def test_the_smallest_window_of_a_capability() -> None:
    rule = CapabilityRule(min_context=9000, defined=True)
    ask = an_ask(target=Target(required=frozenset({"long"})))
    windows = {name: {"context_tokens": 4096} for name in ("box", "gpu")}
    assert chosen(
        decide(ask, house(**windows, solo={"context_tokens": 16384}), capabilities={"long": rule})
    ) == ("mistral @ solo")


TOOLS = ({"type": "function", "function": {"name": "f"}},)
MESSAGES = ({"role": "user", "content": "hello"},)


@pytest.mark.parametrize(
    ("capability", "ask"),
    [
        ("vision", an_ask(images=1, needs=frozenset({"vision"}))),
        ("tools", an_ask(generation=Generation(MESSAGES, tools=TOOLS), needs=frozenset({"tools"}))),
        ("json_schema", an_ask(generation=Generation(MESSAGES, response_format={"type": "json_object"}))),
        ("reasoning", an_ask(options={"reasoning_effort": "high"})),
        ("long_context", an_ask(prompt_bytes=100_000)),
    ],
)
def test_what_a_request_needs_by_what_it_is(capability: str, ask: Ask) -> None:
    everything = {
        name: {"capabilities": frozenset({"chat", "vision", "tools"})} for name in ("box", "gpu", "solo")
    }
    policy: dict[str, Any] = {"capabilities": {capability: CapabilityRule(("qwen2.5:3b",))}}
    decision = decide(ask, house(**everything), **policy)
    assert (chosen(decision), decision.reason) == ("qwen2.5:3b @ box", Reason.CAPABILITY)
    assert f"needs {capability}" in decision.explanation
    assert decision.intent, "its defaults hold all the same"
    assert decide(an_ask("hello"), **policy).reason is Reason.INTENT


def test_a_model_that_is_named_is_kept_whatever_is_preferred() -> None:
    policy: dict[str, Any] = {"capabilities": {"reasoning": CapabilityRule(("qwen2.5:3b",))}}
    ask = an_ask(model="mistral", options={"reasoning_effort": "high"})
    assert chosen(decide(ask, **policy)) == "mistral @ solo"


# --------------------------------------------------------------------------------------------------------------- rules


def test_a_rule_prefers() -> None:
    rule = Rule("rule 1", When(frozenset({"high"})), prefer=Selection(backends=frozenset({"solo"})))
    decision = decide(an_ask(priority="high"), rules=(rule,))
    assert (chosen(decision), decision.reason) == ("mistral @ solo", Reason.RULE)
    assert "rule 1" in decision.explanation
    aside = [c for c in decision.candidates if c.deployment.backend == "box"]
    assert {reason for c in aside for reason in c.reasons} == {Reason.EXCLUDED}
    fallen = decide(an_ask(priority="high"), house("solo"), rules=(rule,))
    assert (fallen.chosen.deployment.backend != "solo", fallen.reason) == (True, Reason.INTENT)
    assert decide(an_ask(), rules=(rule,)).reason is Reason.INTENT


def test_the_first_of_two_preferences_comes_first() -> None:
    rules = (
        Rule("rule 1", prefer=Selection(backends=frozenset({"gone"}))),
        Rule("rule 2", prefer=Selection(kinds=frozenset({"ollama", "vllm"}))),
        Rule("rule 3", prefer=Selection(models=frozenset({"llama3:8b", "mistral"}))),
        Rule("rule 4", prefer=Selection(backends=frozenset({"gpu"}))),
    )
    assert chosen(decide(an_ask(), rules=rules)) == "llama3:8b @ gpu"


@pytest.mark.parametrize(
    ("locality", "backend"),
    [
        (Locality.UNSPECIFIED, "cloud"),
        (Locality.ANY, "cloud"),
        (Locality.PREFER_LOCAL, None),
        (Locality.LOCAL_ONLY, None),
    ],
)
def test_an_operators_preference_comes_before_a_habit_and_after_a_callers_wish(
    locality: Locality, backend: str | None
) -> None:
    rule = Rule("rule 1", prefer=Selection(local=False))
    found = decide(an_ask(locality=locality), rules=(rule,)).chosen
    assert (found.deployment.backend == backend) is (backend is not None)
    assert found.local is (backend is None)


def test_a_rule_requires_whatever_is_named_and_whatever_fails() -> None:
    rule = Rule("rule 1 requires kinds vllm", require=Selection(kinds=frozenset({"vllm"})))
    assert chosen(decide(an_ask(model="llama3:8b"), rules=(rule,))) == "llama3:8b @ gpu"
    assert decide(an_ask(), rules=(rule,)).reason is Reason.RULE
    with pytest.raises(NoHealthyBackend):
        decide(an_ask(model="llama3:8b"), house("gpu"), rules=(rule,))
    target = Target(model="mistral", fallback_models=("qwen2.5:3b",))
    with pytest.raises(NoCapableBackend, match="rule 1 requires kinds vllm"):
        decide(an_ask(target=target), rules=(rule,), chains=a_chain(Step(kinds=frozenset({"ollama"}))))


def test_whom_a_rule_would_leave_aside_is_not_told_to_be_a_candidate_with_more_room() -> None:
    """Nor would the cloud be one, which only a request that does not mind may prefer to the house."""
    narrow = {"context_tokens": 512}
    rule = Rule("rule 1", prefer=Selection(kinds=frozenset({"vllm"})))
    crowd = house(box=narrow, solo=narrow, cloud=narrow)
    long = an_ask(prompt_bytes=8000)
    assert "would be a candidate" not in decide(long, crowd, rules=(rule,)).explanation
    assert "mistral @ solo would be a candidate if it had a window" in decide(long, crowd).explanation


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["vllm"], ""),
        (["llamacpp"], "nobody who is preferred can serve it"),
        (["vllm", "llamacpp"], "not all that is preferred can serve it"),
    ],
)
def test_a_preference_that_cannot_be_had_is_told(kinds: list[str], said: str) -> None:
    rules = [
        Rule(f"rule {number} prefers kinds {kind}", prefer=Selection(kinds=frozenset({kind})))
        for number, kind in enumerate(kinds, 1)
    ]
    explanation = decide(an_ask(model="llama3:8b"), rules=rules).explanation
    assert f"prefers kinds {kinds[-1]}; {said or 'the only candidate'}" in explanation


def test_a_refusal_names_the_rules_that_demand_something() -> None:
    cloud = Rule("rule 1 prefers backends cloud", prefer=Selection(backends=frozenset({"cloud"})))
    gpu = Rule("rule 2 requires backends gpu", require=Selection(backends=frozenset({"gpu"})))
    with pytest.raises(NoCapableBackend, match="EXCLUDED; rule 2 requires backends gpu") as caught:
        decide(an_ask(model="mistral"), rules=(cloud, gpu))
    assert "rule 1" not in str(caught.value)


def test_a_required_group() -> None:
    rule = Rule("rule 1", require=Selection(models=frozenset({"small"})))
    policy: dict[str, Any] = {"rules": (rule,), "aliases": {"small": ("qwen2.5:3b", "mistral")}}
    models = {c.deployment.model for c in decide(an_ask(), **policy).candidates if c.eligible}
    assert models == {"qwen2.5:3b", "mistral"}


def test_a_rule_may_bring_a_fallback() -> None:
    rule = Rule("rule 1", When(stream=True), fallback="mistral")
    decision = decide(an_ask(model="qwen2.5:3b", stream=True), house("box"), rules=(rule,))
    assert (chosen(decision), decision.reason) == ("mistral @ solo", Reason.FAILOVER)
    with pytest.raises(NoHealthyBackend):
        decide(an_ask(model="qwen2.5:3b"), house("box"), rules=(rule,))


SIZES = (
    SizeRule(size_bounds("< 8B"), frozenset({"llamacpp"}), frozenset({"ollama"})),
    SizeRule(size_bounds(">= 8B"), frozenset({"vllm"})),
)


def test_sizes_prefer_kinds() -> None:
    assert chosen(decide(an_ask(model="llama3:8b"), sizes=SIZES)) == "llama3:8b @ gpu"
    assert chosen(decide(an_ask(model="llama3:8b"), house("gpu"), sizes=SIZES)) == "llama3:8b @ box"
    eligible = {chosen_of(c) for c in decide(an_ask(), sizes=SIZES).candidates if c.eligible}  # of the house
    assert eligible == {"mistral @ solo", "llama3:8b @ gpu", "meta/Llama-3-70B @ gpu"}
    small = decide(an_ask(), house("gpu", "solo"), sizes=SIZES)
    assert chosen(small) == "qwen2.5:3b @ box", "a fallback kind comes before any other"


def test_what_a_model_can_do_counts_before_the_kind_for_its_size() -> None:
    ask = an_ask("Write a Python function that reverses a list")
    coder = house(box={"capabilities": frozenset({"chat", "code"})})
    decision = decide(ask, coder, sizes=(SizeRule(size_bounds("< 13B"), frozenset({"llamacpp"})),))
    assert {chosen_of(c) for c in decision.candidates if c.eligible} == {
        "qwen2.5:3b @ box",
        "llama3:8b @ box",
    }
    (runs_best,) = (c for c in decision.candidates if c.deployment.backend == "solo")
    assert runs_best.reasons == (Reason.MISSING_CAPABILITY,)


def chosen_of(candidate: Any) -> str:
    return f"{candidate.deployment.model} @ {candidate.deployment.backend}"


# -------------------------------------------------------------------------------------------------------------- chains


def step(when: str | list[str] = (), **place: Any) -> Step:  # type: ignore[assignment]
    texts = [when] if isinstance(when, str) else list(when)
    models = tuple(place.pop("models", ()))
    where = {key: frozenset(names) for key, names in place.items()}
    return Step(models, when=condition_of(texts) if texts else None, **where)


def test_a_group_has_the_models_that_a_pattern_has_another_name_for() -> None:
    aliases = {"best": ("large", "mistral", "ours/nobody"), "large": ("ours/meta/Llama-3-70B",)}
    policy: dict[str, Any] = {
        "patterns": (a_pattern("ours/(?P<model>.+)", kinds=["vllm"]),),
        "aliases": aliases,
    }
    members = {c.deployment.model for c in decide(an_ask(model="best"), **policy).candidates if c.eligible}
    assert members == {"meta/Llama-3-70B", "mistral"}
    alone = decide(an_ask(model="large"), **policy)
    assert (chosen(alone), alone.reason) == ("meta/Llama-3-70B @ gpu", Reason.PATTERN)


def test_a_step_of_a_chain_may_name_what_only_a_pattern_knows() -> None:
    served = a_pattern("ours/(?P<model>.+)", kinds=["vllm"])
    chains = a_chain(step("unavailable", models=["mistral", "ours/llama3:8b"]), step(models=["gpt-4o"]))
    policy: dict[str, Any] = {"patterns": (served,), "chains": chains}
    ask = an_ask(model="qwen2.5:3b")
    assert chosen(decide(ask, house("box"), **policy)) == "mistral @ solo", "a model comes before"
    decision = decide(ask, house("box", "solo"), **policy)
    assert (chosen(decision), decision.reason) == ("llama3:8b @ gpu", Reason.FAILOVER)
    assert "fallback chain 'default'" in decision.explanation
    assert chosen(decide(ask, house("box", "solo", "gpu"), **policy)) == "gpt-4o @ cloud"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qwen2.5:3b", "mistral @ solo"),  # its own
        ("little", "mistral @ solo"),  # an alias has the chain of its only model
        ("meta/Llama-3-70B", "gpt-4o-mini @ cloud"),  # the default
    ],
)
def test_the_chain_of_a_model_and_the_default(name: str, expected: str) -> None:
    chains = {
        "qwen2.5:3b": Chain((step(models=["mistral"]),)),
        "default": Chain((step(models=["gpt-4o-mini"]),)),
    }
    aliases = {"little": ("qwen2.5:3b",)}
    decision = decide(an_ask(model=name), house("box", "gpu"), chains=chains, aliases=aliases)
    assert (chosen(decision), decision.reason) == (expected, Reason.FAILOVER)
    assert "fallback chain" in decision.explanation


def test_the_chain_of_a_capability_and_of_an_intent() -> None:
    chains = {
        "vision": Chain((step(models=["mistral"]),)),
        "code": Chain((step(models=["gpt-4o"]),)),
    }
    views = {"box": {"capabilities": frozenset({"chat", "vision"})}}
    resolver = a_resolver(Policy(chains=chains))
    models = house(**views).by_model
    asked = [
        (an_ask(target=Target(required=frozenset({"vision"}))), "mistral"),
        (an_ask(model="qwen2.5:3b", images=1, needs=frozenset({"vision"})), "mistral"),
        (an_ask("Write a Python function that reverses a list"), "gpt-4o"),
    ]
    for ask, model in asked:
        assert resolver.resolve(ask, models).tiers[-1].models == frozenset({model})
    assert len(resolver.resolve(an_ask(), models).tiers) == 1


def test_the_callers_fallbacks_come_before_the_chain() -> None:
    target = Target(model="qwen2.5:3b", fallback_models=("gpt-4o-mini",))
    chains = a_chain(step(models=["mistral"]))
    assert chosen(decide(an_ask(target=target), house("box"), chains=chains)) == "gpt-4o-mini @ cloud"
    assert chosen(decide(an_ask(target=target), house("box", "cloud"), chains=chains)) == "mistral @ solo"


def test_a_chain_that_is_called_by_its_name_brings_its_attempts() -> None:
    chains = {
        "high_availability": Chain((step(models=["mistral"]), step(models=["gpt-4o"])), 5, 0.2),
        "default": Chain((step(models=["gpt-4o-mini"]),), 9),
    }
    rule = Rule("rule 1", When(stream=True), fallback="high_availability")
    pattern = a_pattern("x.*", "high_availability", kinds=["anthropic"])
    resolver = a_resolver(Policy(chains=chains, rules=(rule,), patterns=(pattern,)))
    asked = (
        an_ask(target=Target(model="qwen2.5:3b", fallback_models=("high_availability",))),
        an_ask(model="qwen2.5:3b", stream=True),
        an_ask(model="x-1"),
    )
    for ask in asked:
        resolution = resolver.resolve(ask, house().by_model)
        assert resolution.chain is chains["high_availability"]
        assert [t.models for t in resolution.tiers if t.models and "gpt-4o" in t.models]
    assert resolver.resolve(an_ask(model="qwen2.5:3b"), house().by_model).chain is chains["default"]


def test_a_name_that_nobody_knows_is_not_sent_elsewhere_unless_a_chain_has_that_name() -> None:
    default = a_chain(step(models=["mistral"]))
    with pytest.raises(ModelNotFound):
        decide(an_ask(model="gpt-5"), chains=default)
    own = {"gpt-5": Chain((step(models=["mistral"]),))}
    assert chosen(decide(an_ask(model="gpt-5"), chains=own)) == "mistral @ solo"
    dead = {"old": ("gone",)}
    assert chosen(decide(an_ask(model="old"), chains=default, aliases=dead)) == "mistral @ solo"


LONG, TOOLED, CHEAP = {"prompt_bytes": 9000}, {"needs": frozenset({"tools"})}, {"max_cost_usd": 0.01}
SHORT_WINDOW, DEAR = {"context_tokens": 100}, {"output_usd_per_token": 1.0}


@pytest.mark.parametrize(
    ("when", "snapshot", "fields", "refused"),
    [
        ("unavailable", house("box"), {}, None),
        ("rate_limited", house("box"), {}, NoHealthyBackend),
        ("context_too_long", house(box=SHORT_WINDOW), LONG, None),
        ("unavailable", house(box=SHORT_WINDOW), LONG, ContextTooLong),
        ("incapable", house(), TOOLED, None),
        ("unavailable", house(), TOOLED, NoCapableBackend),
        ("too_expensive", house(box=DEAR), CHEAP, None),
        ("model_size < 8B", house("box"), {}, None),
        ("model_size >= 8B", house("box"), {}, NoHealthyBackend),
        (["unavailable", "model_size < 8B"], house("box"), {}, None),
        (["failed", "model_size < 8B"], house("box"), {}, NoHealthyBackend),
    ],
)
def test_the_condition_of_a_step(
    when: Any, snapshot: Snapshot, fields: dict[str, Any], refused: type[Exception] | None
) -> None:
    able = a_view("solo", "mistral", parameters=7.2, capabilities=frozenset({"chat", "tools"}))
    views = [
        view for found in snapshot.by_model.values() for view in found if view.deployment.backend != "solo"
    ]
    snapshot = a_snapshot(list(snapshot.backends.values()), [able, *views])
    ask, chains = an_ask(model="qwen2.5:3b", **fields), a_chain(step(when, models=["mistral"]))
    if refused is None:
        assert chosen(decide(ask, snapshot, chains=chains)) == "mistral @ solo"
    else:
        with pytest.raises(refused):
            decide(ask, snapshot, chains=chains)


@pytest.mark.parametrize(
    ("asked", "when", "taken"),
    [
        ("meta/Llama-3-70B", "model_size >= 13B", True),
        ("meta/Llama-3-70B", "model_size < 13B", False),
        ("big", "model_size >= 13B", True),  # the largest of a group
        ("llama-70b", "model_size >= 13B", True),  # nobody has it: its name tells
        ("gone", "model_size >= 13B", True),  # nobody knows: large
        ("gone", "model_size < 13B", False),
    ],
)
def test_a_size_is_that_of_the_model_that_was_asked_for(asked: str, when: str, taken: bool) -> None:
    chain = Chain((step(when, models=["mistral"]),))
    policy: dict[str, Any] = {
        "chains": {"default": chain, "llama-70b": chain, "gone": chain},
        "aliases": {"big": ("meta/Llama-3-70B", "qwen2.5:3b")},
    }
    snapshot = house("gpu", "box")
    if taken:
        assert chosen(decide(an_ask(model=asked), snapshot, **policy)) == "mistral @ solo"
    else:
        with pytest.raises((NoHealthyBackend, NoCapableBackend)):
            decide(an_ask(model=asked), snapshot, **policy)


def test_where_no_model_was_asked_for_a_size_is_that_of_the_step() -> None:
    chains = a_chain(step("model_size >= 8B", kinds=["vllm"]))
    resolution = a_resolver(Policy(chains=chains)).resolve(an_ask(), house().by_model)
    assert resolution.tiers[-1].when is not None
    assert resolution.tiers[-1].only is not None
    views: list[DeploymentView] = [
        a_view("gpu", model, parameters=size) for model, size in (("a", 7.0), ("b", 8.03), ("c", None))
    ]
    backend = a_backend("gpu", kind="vllm")
    assert [v.deployment.model for v in views if resolution.tiers[-1].only.holds(v, backend)] == ["b", "c"]


# ----------------------------------------------------------------------------------------------------- who is not there


def test_a_model_that_a_backend_may_have_that_was_never_seen_is_not_unknown() -> None:
    resolver = a_resolver(Policy())
    with pytest.raises(NoHealthyBackend, match=r"'x'.*what is served by attic is not known yet"):
        resolver.resolve(an_ask(model="x"), house().by_model, ["attic"])
    with pytest.raises(ModelNotFound):
        resolver.resolve(an_ask(model="x"), house().by_model, [])


def test_what_a_target_names_that_does_not_exist_is_told_at_once() -> None:
    target = Target(
        intent="dance", allowed_backends=frozenset({"a", "zz"}), excluded_backends=frozenset({"yy", "xx"})
    )
    found = {v.field: v.description for v in a_resolver(Policy()).mistakes(target, ["a", "b"])}
    assert list(found) == [
        "spec.target.auto.intent",
        "spec.target.allowed_backends",
        "spec.target.excluded_backends",
    ]
    assert found["spec.target.allowed_backends"] == "must be names of backends, not ['zz']; here are a, b"
