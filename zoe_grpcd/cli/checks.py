"""What `check` prints: what would be served, and where each fact of a model comes from. No network."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from zoe_grpcd.adapters.listed import listed_for
from zoe_grpcd.config import Config, Problem, reach
from zoe_grpcd.config.backends import Backend, Cost, Deployment, Model
from zoe_grpcd.config.keys import Key
from zoe_grpcd.config.model import Tls
from zoe_grpcd.pricelist import Listing
from zoe_grpcd.tls import Files, ends_of

_SECRET = {"key", "key_sha256"}
CONFIG, LIST = "configuration", "LiteLLM's price list"


class Fact(NamedTuple):
    """Something known of a model before its backend is asked."""

    name: str
    value: Any
    source: str


def summary(loaded: Config, source: str, warnings: tuple[Problem, ...]) -> dict[str, Any]:
    """As JSON."""
    return {
        "source": source or None,
        "listen": list(loaded.server.listen),
        "admin_listen": loaded.server.admin_listen,
        "certificates": {option: end.isoformat() for option, end in _ends(loaded.server.tls).items()},
        "backends": [
            {"name": b.name, "kind": b.kind, "url": b.url, "local": b.local} for b in loaded.backends
        ],
        "models": [_model(model, loaded) for model in loaded.models],
        "keys": [key.model_dump(mode="json", exclude=_SECRET) for key in loaded.auth.everyone],
        "aliases": {name: list(members) for name, members in loaded.routing.aliases.items()},
        "unstated": _unstated(loaded),
        "prompts": str(loaded.log.prompts) if loaded.log.prompts else "never",
        "warnings": [str(warning) for warning in warnings],
    }


def _model(model: Model, loaded: Config) -> dict[str, Any]:
    return {
        "name": model.name,
        "deployments": [
            {
                "backend": d.backend,
                "model": d.model,
                "facts": {
                    fact.name: {"value": fact.value, "source": fact.source}
                    for fact in facts_of(model, d, loaded)
                },
            }
            for d in model.deployments
        ],
    }


def told(loaded: Config, source: str) -> str:
    """As text."""
    lines = [f"{source}: ok" if source else "no configuration file: the defaults hold"]
    lines.append(f"listens on   {', '.join(loaded.server.listen)}")
    lines.append(f"admin on     {loaded.server.admin_listen or 'nothing'}")
    lines += [
        f"certificate  {option} ends on {end:%Y-%m-%d}, in {round((end - datetime.now(UTC)) / timedelta(days=1))} days"
        for option, end in _ends(loaded.server.tls).items()
    ]
    if not loaded.backends:
        lines.append("backends     servers on this machine are looked for")
    for b in loaded.backends:
        where = f"{b.kind} at {b.url}" if b.url else b.kind
        lines.append(f"backend      {b.name}: {where}{'' if b.local else ', not local'}")
    for model in loaded.models:
        places = ", ".join(f"{d.model} @ {d.backend}" for d in model.deployments) or "facts only"
        lines.append(f"model        {model.name}: {places}")
        lines += _facts(model, loaded)
    lines += [
        f"alias        {name}: {', '.join(members)}" for name, members in loaded.routing.aliases.items()
    ]
    lines += [
        f"not stated   {name}: routing names it, and it is served if a backend turns out to have it"
        for name in _unstated(loaded)
    ]
    lines += [f"key          {_key(key)}" for key in loaded.auth.everyone] or [
        "keys         none: only this machine can call"
    ]
    if loaded.log.prompts:
        lines.append(f"prompts      are written to {loaded.log.prompts}, with the answers")
    return "\n".join(lines)


def _unstated(loaded: Config) -> list[str]:
    data = loaded.model_dump(mode="json", include={"models", "routing"})
    data["backends"] = [{"name": b.name, "litellm_params": _params(b)} for b in loaded.backends]
    return reach.unstated(data)


def _ends(given: Tls | None) -> dict[str, datetime]:
    """When certificates end, as far as that can be read."""
    with suppress(OSError, ValueError, IndexError):
        return ends_of(Files(given.cert_file, given.key_file, given.client_ca_file)) if given else {}
    return {}


def _key(key: Key) -> str:
    """`app: llama*; priority up to normal; 60 requests a minute; 2.5 USD a day`."""
    words = {
        "priority up to {}": key.priority,
        "locality {}": key.locality if key.locality != "any" else None,
        "cost weight {:g}": key.cost_weight,
        "{} requests a minute": key.rpm,
        "{} tokens a minute": key.tpm,
        "{} calls at a time": key.max_concurrent,
        "{:g} USD a day": key.daily_budget_usd,
    }
    said = [text.format(value) for text, value in words.items() if value is not None]
    return "; ".join([f"{key.name}: {', '.join(key.models)}", *said, *(["admin"] if key.admin else [])])


def _facts(model: Model, loaded: Config) -> list[str]:
    """A line a source and deployment; the deployment is named where there are several."""
    lines = []
    for deployment in model.deployments:
        where = f" @ {deployment.backend}" if len(model.deployments) > 1 else ""
        by_source: dict[str, list[str]] = {}
        facts = facts_of(model, deployment, loaded)
        for fact in facts:
            by_source.setdefault(fact.source, []).append(_words(fact))
        lines += [f"             {'; '.join(words)} ({source}){where}" for source, words in by_source.items()]
        if _is_unpriced(deployment, loaded) and not any(fact.name == "cost" for fact in facts):
            lines.append(f"             price not known: it counts as free{where}")
    return lines


def _is_unpriced(deployment: Deployment, loaded: Config) -> bool:
    """It is a service's, which will not tell its price either."""
    backend = next(b for b in loaded.backends if b.name == deployment.backend)
    return not backend.local and backend.kind in ("anthropic", "litellm")


def _words(fact: Fact) -> str:
    if fact.name == "cost":
        spelled = {
            "input_per_mtok_usd": "in",
            "output_per_mtok_usd": "out",
            "cached_input_per_mtok_usd": "cached",
        }
        parts = ", ".join(
            f"${fact.value[key]:g} {word}" for key, word in spelled.items() if key in fact.value
        )
        return f"{parts} for a million tokens"
    if fact.name == "context_tokens":
        return f"window of {fact.value} tokens"
    return f"can {', '.join(fact.value)}"


def facts_of(model: Model, deployment: Deployment, loaded: Config) -> list[Fact]:
    """Cost, window and capabilities, as far as they are known without asking anybody."""
    backend = next(b for b in loaded.backends if b.name == deployment.backend)
    listed = None if backend.local else _listed(backend, deployment)
    found = [_cost(deployment.cost or model.cost, listed), _window(model, deployment, backend, listed)]
    if model.capabilities:
        found.append(Fact("capabilities", sorted(model.capabilities), CONFIG))
    if listed and (rest := sorted(listed.capabilities - set(model.capabilities or ()))):
        found.append(Fact("capabilities" if not model.capabilities else "more_capabilities", rest, LIST))
    return [fact for fact in found if fact is not None]


def _listed(backend: Backend, deployment: Deployment) -> Listing | None:
    return listed_for(backend.kind, backend.url or "", deployment.model or "", _params(backend))


def _params(backend: Backend) -> dict[str, Any]:
    return dict(backend.litellm_params.get_secret_value()) if backend.litellm_params else {}


def _cost(stated: Cost | None, listed: Listing | None) -> Fact | None:
    if stated is not None:
        return Fact("cost", stated.model_dump(exclude_none=True), CONFIG)
    if listed is None or listed.price is None:
        return None
    price = {
        "input_per_mtok_usd": listed.price.input,
        "output_per_mtok_usd": listed.price.output,
        "cached_input_per_mtok_usd": listed.price.cached,
    }
    return Fact("cost", {key: value for key, value in price.items() if value is not None}, LIST)


def _window(model: Model, deployment: Deployment, backend: Backend, listed: Listing | None) -> Fact | None:
    asked = deployment.params.num_ctx if backend.kind == "ollama" else None
    if stated := asked or model.context_tokens:
        return Fact("context_tokens", stated, CONFIG)
    return Fact("context_tokens", listed.context_tokens, LIST) if listed and listed.context_tokens else None
