"""The format of a recording: JSON lines, each record with what has changed in the fleet since the one before.

    {"recording": 1, "time": unix seconds, "version": ..., "configured": [[backend, model], ...]}      all is new again
    {"time": ..., "id": decision id, "ask": {...}, "fleet": {...}, "chosen": [backend, model] or null}

Rule: what is written of a request is named here field by field (`ASK`), and none of it is what somebody said.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from operator import itemgetter
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from zoe_grpcd.core.ask import NO_LIMITS, Ask, Target, Verdict
from zoe_grpcd.core.backend import Backend, Deployment
from zoe_grpcd.core.eligible import Question
from zoe_grpcd.core.generation import Generation, Json
from zoe_grpcd.core.key import Key
from zoe_grpcd.core.views import BackendView, DeploymentView, Snapshot

FORMAT = 1
LONGEST_METADATA = 200
# Fields of a request that decisions look at, and those that nobody's record needs.
ASK = frozenset(
    "target prompt_bytes images has_context features needs locality strategy latency_level cost_weight max_cost_usd"
    " max_queue_time max_attempts allow_different_model minimum_seam metadata priority stream limits".split()
)
LEFT_OUT = frozenset(
    "generation request_id text include_reasoning verdict observer trace caller licence hedge_after".split()
)


def _plain(value: Any) -> Any:
    """As JSON has it; sets in order, so that the same is the same."""
    return to_jsonable_python(sorted(value) if isinstance(value, frozenset) else value)


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _told(value: Any, names: Iterable[str]) -> Json:
    """The named fields of a dataclass that differ from their defaults."""
    known = {field.name: field for field in fields(value)}
    pairs = ((name, getattr(value, name)) for name in names)
    return {name: _plain(found) for name, found in pairs if found != _default(known[name])}


# ------------------------------------------------------------------------------------------------------- a request


def ask_line(question: Question) -> Json:
    """What is kept of a request: its size, needs and wishes, the intent that was found in it, the name of its key, and
    what that had left to spend.
    """
    ask, generation = question.ask, question.ask.generation
    line = _told(ask, ASK - {"target", "metadata", "limits"})
    if ask.licence is not None:
        line["key"] = ask.licence.grant.name
        line |= {} if question.budget is None else {"budget_usd": question.budget}
    if question.limits != NO_LIMITS:
        line["limits"] = list(question.limits)
    if ask.metadata:
        line["metadata"] = {name: text[:LONGEST_METADATA] for name, text in ask.metadata.items()}
    if target := _told(ask.target, (field.name for field in fields(ask.target))):
        line["target"] = target
    line["messages"], line["intent"] = len(generation.messages), question.resolution.intent
    shape = {
        "tools": len(generation.tools),
        "format": generation.response_format is not None,
        "options": sorted(generation.options),
        "max_output_tokens": ask.max_output_tokens,
        "reasoning_effort": generation.options.get("reasoning_effort"),
        "num_ctx": generation.backend_options.get("num_ctx"),
    }
    return line | {name: value for name, value in shape.items() if not (value is None or value is False)}


_TARGET = TypeAdapter(Target)
_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Ask)}
_VALUES: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(_TYPES[name]) for name in ASK - {"target", "metadata"}
}


def ask_of(line: Json) -> Ask:
    """A request that is decided as the recorded one was; its messages and tools are empty."""
    options: Json = dict.fromkeys(line.get("options", ()))
    for name in ("max_output_tokens", "reasoning_effort"):
        if name in options:
            options[name] = line.get(name)
    generation = Generation(
        ({},) * line["messages"],
        tools=({},) * line.get("tools", 0),
        response_format={} if "format" in line else None,
        options=options,
        backend_options={"num_ctx": line["num_ctx"]} if "num_ctx" in line else {},
    )
    known = {name: _VALUES[name].validate_python(line[name]) for name in _VALUES.keys() & line.keys()}
    return Ask(
        generation,
        _TARGET.validate_python(line.get("target", {})),
        metadata=line.get("metadata", {}),
        verdict=Verdict(line["intent"], 1.0) if line["intent"] else None,
        **known,
    )


# -------------------------------------------------------------------------------------------------------- the fleet


def _without_secrets(backend: Backend) -> Backend:
    """Neither its address, which may hold a password, nor its key."""
    return replace(backend, url="", api_key="")


def _without_values(deployment: Deployment) -> Deployment:
    """The names of its parameters, of which decisions look at nothing else."""
    return replace(
        deployment, options=dict.fromkeys(deployment.options), backend_options=dict(_num_ctx(deployment))
    )


def _num_ctx(deployment: Deployment) -> Json:
    window = deployment.backend_options.get("num_ctx")
    return {"num_ctx": window} if isinstance(window, int) else {}


_BACKEND_FIELDS = tuple(field.name for field in fields(BackendView) if field.init)
_VIEW_FIELDS = tuple(field.name for field in fields(DeploymentView))
_SAFE: dict[str, Callable[[Any], Any]] = {"backend": _without_secrets, "deployment": _without_values}


class Changes:
    """What has changed from one picture of the fleet to the next. `Deltas` puts them together again."""

    def __init__(self) -> None:
        self._backends: dict[str, BackendView] = {}
        self._views: dict[Key, DeploymentView] = {}
        self._owing: Mapping[Any, Any] = {}

    def line(self, snapshot: Snapshot) -> Json:
        """The changes since the last call; everything at the first one."""
        views = {
            (model, view.deployment.backend): view
            for model, found in snapshot.by_model.items()
            for view in found
        }
        line: Json = {
            "backends": _changed(self._backends, snapshot.backends, _BACKEND_FIELDS),
            "views": [[*key, told] for key, told in _changed(self._views, views, _VIEW_FIELDS).items()],
            "gone": [list(key) for key in self._views.keys() - views.keys()],
            "gone_backends": sorted(self._backends.keys() - snapshot.backends.keys()),
            "owing": [
                [strategy, sorted(models), [[*key, due] for key, due in owed.items()]]
                for (strategy, models), owed in snapshot.owing.items()
                if self._owing.get((strategy, models)) is not owed
            ],
            "owing_nothing": [
                [s, sorted(models)] for s, models in self._owing.keys() - snapshot.owing.keys()
            ],
            "number": snapshot.number,
            "at": snapshot.at,
        }
        self._backends, self._views = dict(snapshot.backends), views
        self._owing = snapshot.owing
        return {name: value for name, value in line.items() if value}


def _changed(before: Mapping[Any, Any], now: Mapping[Any, Any], names: tuple[str, ...]) -> dict[Any, Json]:
    """For each key what is new of its value, by field; fields that are not there are as they were, or the default."""
    changed = {}
    for key, view in now.items():
        old = before.get(key)
        if old is view:
            continue
        told = [n for n in names if old is None or getattr(old, n) != getattr(view, n)]
        if told or old is None:
            line = {n: getattr(view, n) for n in told}
            changed[key] = {n: _plain(_SAFE[n](value) if n in _SAFE else value) for n, value in line.items()}
    return changed


_BACKEND_VIEW, _DEPLOYMENT_VIEW = TypeAdapter(BackendView), TypeAdapter(DeploymentView)


@dataclass(slots=True)
class _Merged:
    """All that is known of one view, and the view made from it."""

    line: Json
    view: Any = None


class Deltas:
    """Pictures of the fleet from what has changed in each."""

    def __init__(self) -> None:
        self._backends: dict[str, _Merged] = {}
        self._views: dict[Key, _Merged] = {}
        self._owing: dict[Any, Any] = {}

    def snapshot(self, line: Json) -> Snapshot:
        """The next picture."""
        for name, told in line.get("backends", {}).items():
            _merge(self._backends, name, told, _BACKEND_VIEW)
        for model, backend, told in line.get("views", ()):
            _merge(self._views, (model, backend), told, _DEPLOYMENT_VIEW)
        for model, backend in line.get("gone", ()):
            del self._views[model, backend]
        for name in line.get("gone_backends", ()):
            del self._backends[name]
        gone = {(strategy, frozenset(models)) for strategy, models in line.get("owing_nothing", ())}
        self._owing = {scope: owed for scope, owed in self._owing.items() if scope not in gone}
        for strategy, models, owed in line.get("owing", ()):
            self._owing[strategy, frozenset(models)] = {(b, m): due for b, m, due in owed}
        by_model: dict[str, tuple[DeploymentView, ...]] = {}
        for (model, _), merged in sorted(self._views.items(), key=itemgetter(0)):
            by_model[model] = (*by_model.get(model, ()), merged.view)
        backends = {name: merged.view for name, merged in self._backends.items()}
        return Snapshot(
            backends, by_model, auto_of(by_model), line.get("number", 0), self._owing, line.get("at", 0.0)
        )


def auto_of(by_model: Mapping[str, tuple[DeploymentView, ...]]) -> tuple[DeploymentView, ...]:
    """The deployments that a request which names no model may get."""
    views = (view for found in by_model.values() for view in found)
    return tuple(view for view in views if view.deployment.auto and "chat" in view.capabilities)


def _merge(known: dict[Any, _Merged], key: Any, told: Json, adapter: TypeAdapter[Any]) -> None:
    merged = known.setdefault(key, _Merged({}))
    merged.line = {**merged.line, **told}
    merged.view = adapter.validate_python(merged.line)
