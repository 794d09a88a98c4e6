"""What is sent to the chosen deployment: the caller's values first, then its bundle, then the intent's defaults."""

from dataclasses import replace

from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.backend import Backend
from zoe_grpcd.core.decision import Decision
from zoe_grpcd.core.generation import Call, Generation
from zoe_grpcd.core.resolution import Resolution

NONE: frozenset[str] = frozenset()


def call_of(ask: Ask, resolution: Resolution, decision: Decision, backend: Backend) -> Call:
    """The call of one attempt. Plain requests pass through without a copy of their messages."""
    deployment, asked = decision.chosen.deployment, ask.generation
    generation = asked
    if decision.defaults or deployment.options:
        generation = replace(generation, options={**decision.defaults, **deployment.options, **asked.options})
    if deployment.backend_options:
        merged = {**deployment.backend_options, **asked.backend_options}
        generation = replace(generation, backend_options=merged)
    if stands_in(ask, resolution):
        system = {"role": "system", "content": resolution.system_prompt}
        generation = replace(generation, messages=(system, *asked.messages))
    if decision.dropped:
        generation = _without(generation, decision.dropped)
    defaults = frozenset(decision.defaults) if decision.defaults else NONE
    return Call(backend, deployment.backend_model, generation, priority=ask.priority, defaults=defaults)


def traced(call: Call, ask: Ask) -> Call:
    """The call of an attempt, as a part of the request's trace if anybody follows that."""
    return call if ask.trace is None else replace(call, trace=ask.trace.headers(call.backend.name))


def stands_in(ask: Ask, resolution: Resolution) -> bool:
    """Whether the intent's system prompt is sent: it has one, and the caller has none."""
    if not resolution.system_prompt:
        return False
    return not any(message["role"] in ("system", "developer") for message in ask.generation.messages)


def _without(generation: Generation, dropped: frozenset[str]) -> Generation:
    """Leaves out what the backend cannot honour; a feature is a proto path such as `sampling.top_k`."""
    fields = {feature.split(".", 1)[0] for feature in dropped}
    names = {"reasoning_effort" if f == "reasoning.effort" else f.rsplit(".", 1)[-1] for f in dropped}
    return replace(
        generation,
        tools=() if "tools" in fields else generation.tools,
        tool_choice=None if "tool_choice" in fields else generation.tool_choice,
        response_format=None if "response_format" in fields else generation.response_format,
        options={name: value for name, value in generation.options.items() if name not in names},
    )
