"""From the Config to the plain values that the rooms receive. Nobody further down knows that there is a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoe_grpcd.access import Credential
from zoe_grpcd.config import Config, keys
from zoe_grpcd.config import backends as sections
from zoe_grpcd.core.backend import Backend, Deployment, ModelFacts, Price
from zoe_grpcd.core.breaker import Caution
from zoe_grpcd.core.firsttoken import Bounds
from zoe_grpcd.core.grants import permission
from zoe_grpcd.core.intents import Intent, configured
from zoe_grpcd.core.licence import Grant, Locality
from zoe_grpcd.core.options import normalise
from zoe_grpcd.core.resolve import Policy, Resolver
from zoe_grpcd.deciding import Rules
from zoe_grpcd.hierarchy import capabilities_of, chains_of, granted, patterns_of, rules_of, sizes_of
from zoe_grpcd.run import Reliability


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator set up. No backends: local ones are looked for."""

    backends: tuple[Backend, ...]
    deployments: tuple[Deployment, ...]
    facts: dict[str, ModelFacts]
    rules: Rules
    litellm_params: dict[str, dict[str, object]]  # by backend, for kind litellm
    intents: tuple[Intent, ...]
    caution: Caution = field(default_factory=Caution)
    credentials: tuple[Credential, ...] = ()


def settings_of(config: Config, generation: int = 1) -> Settings:
    """Everything at once, so that a reload can swap it at once."""
    routing, weights = config.routing, config.routing.weights
    policy = Policy(
        weights.latency,
        weights.success_rate,
        weights.cost,
        {name: tuple(members) for name, members in routing.aliases.items()},
        routing.default_model or "",
        long_context_tokens=routing.long_context_tokens,
        strategy=routing.strategy,
        model_strategies={model.name: model.strategy for model in config.models if model.strategy},
        prefer_warm=routing.warm.prefer,
        check_timeout=routing.warm.check_timeout,
        drop_params=config.drop_params,
        config_generation=generation,
        patterns=patterns_of(routing),
        capabilities=capabilities_of(config),
        sizes=sizes_of(routing),
        rules=rules_of(routing),
        chains=chains_of(routing),
    )
    intents = configured(
        {name: intent.model_dump(exclude_unset=True) for name, intent in routing.intents.items()}
    )
    given = config.reliability
    reliability = Reliability(
        given.max_attempts,
        given.retry_delay,
        Bounds(given.first_token_least, given.first_token_most),
        given.hedge,
        given.hedge_share,
    )
    return Settings(
        tuple(_backend(section) for section in config.backends),
        tuple(_deployment(model.name, d) for model in config.models for d in model.deployments),
        granted({model.name: _facts(model) for model in config.models}, routing),
        Rules(Resolver(policy, intents), policy, reliability),
        {
            b.name: dict(b.litellm_params.get_secret_value())
            for b in config.backends
            if b.litellm_params is not None
        },
        intents,
        _caution(config),
        tuple(_credential(key, policy.aliases) for key in config.auth.everyone),
    )


def _credential(section: keys.Key, aliases: Mapping[str, tuple[str, ...]]) -> Credential:
    grant = Grant(
        section.name,
        section.models,
        permission(section.models, aliases),
        section.priority,
        Locality(section.locality.upper()),
        section.cost_weight,
        section.rpm,
        section.tpm,
        section.max_concurrent,
        section.daily_budget_usd,
        section.admin,
    )
    return Credential(section.digest, grant)


def _caution(config: Config) -> Caution:
    given = config.reliability
    return Caution(
        given.error_threshold,
        given.error_window,
        given.cooldown,
        given.degraded_weight,
        given.rate_limit_cooldown,
    )


def _backend(section: sections.Backend) -> Backend:
    return Backend(
        section.name,
        section.kind,
        section.url or "",
        section.local,
        section.weight,
        section.max_in_flight,
        dict(section.labels),
        section.api_key.get_secret_value() if section.api_key else "",
        section.probe_interval,
        section.probe_timeout,
        section.connect_timeout,
        section.first_token_timeout,
        section.idle_timeout,
    )


def _deployment(model: str, section: sections.Deployment) -> Deployment:
    options, backend_options = normalise(section.params.given())
    return Deployment(
        model,
        section.backend,
        section.model or model,
        section.weight,
        options,
        backend_options,
        price=_price(section.cost),
        any_name=section.any_name,
    )


def _facts(section: sections.Model) -> ModelFacts:
    return ModelFacts(
        section.context_tokens,
        frozenset(section.capabilities) if section.capabilities is not None else None,
        section.size,
        dict(section.quality),
        _price(section.cost),
    )


def _price(section: sections.Cost | None) -> Price | None:
    if section is None:
        return None
    return Price(section.input_per_mtok_usd, section.output_per_mtok_usd, section.cached_input_per_mtok_usd)
