"""What a caller gives for a cheaper answer: cost against quality, and against time."""

from typing import Any

import pytest
from fakes import World, an_ask, seen

from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.backend import ModelFacts, Price
from zoe_grpcd.core.observation import ModelStatus
from zoe_grpcd.core.resolve import Policy

QUESTION = "Explain machine learning"  # favours quality
CHAT = "Hey, how are you today?"  # favours latency


def choice(text: str, weight: float | None, facts: dict[str, ModelFacts], **policy: Any) -> str:
    """The model that gets a request, each on a backend of its own."""
    world = World(Policy(**policy), facts=facts)
    for name, fact in facts.items():
        world.add(f"on-{name}", seen_as=seen(ModelStatus(name, parameters=fact.parameters)))
    return world.router.route(an_ask(text, cost_weight=weight)).chosen.deployment.model


def fact(price: float, quality: float | None = None, billions: float = 7.0) -> ModelFacts:
    stated = {} if quality is None else {"explain": quality, "chat": quality}
    return ModelFacts(parameters=billions, quality=stated, price=Price(price, 4 * price))


CHEAP, MIDDLE, DEAR = fact(0.1, 0.3), fact(1.0, 0.7), fact(10.0, 1.0)


@pytest.mark.parametrize("text", [QUESTION, CHAT])
def test_at_one_the_cheapest_gets_it_whatever_it_is_worth(text: str) -> None:
    slow = fact(0.1, 0.1, billions=70.0)
    assert choice(text, 1.0, {"slow": slow, "fast": fact(0.2, 1.0, billions=1.0), "dear": DEAR}) == "slow"


def test_at_one_what_costs_the_same_goes_to_the_one_that_is_better_otherwise() -> None:
    assert choice(CHAT, 1.0, {"a-big": fact(0.0, billions=70.0), "small": fact(0.0, billions=1.0)}) == "small"


def test_at_nothing_the_price_does_not_count() -> None:
    models = {"cheap": CHEAP, "dear": DEAR}
    assert choice(QUESTION, None, models, cost_weight=0.0) == "dear"
    assert choice(QUESTION, 0.0, models) == "dear"
    same = {"b-free": fact(0.0), "a-dear": fact(100.0)}
    assert (
        choice(CHAT, None, same, cost_weight=0.0) == "a-dear"
    )  # by name, as they are equal but for the price


def test_the_more_cost_counts_the_less_quality_does() -> None:
    models = {"cheap": CHEAP, "middle": MIDDLE, "dear": DEAR}
    chosen = [choice(QUESTION, weight, models) for weight in (0.05, 0.35, 0.99)]
    assert chosen == ["dear", "middle", "cheap"]


def test_quality_counts_too_where_a_caller_who_weighs_cost_wants_no_special_one() -> None:
    """Of equals in time and price, the one that the operator states to be better."""
    models = {"a": fact(1.0, 0.2), "b": fact(1.0, 0.9)}
    assert choice(CHAT, 0.2, models) == "b"


def test_a_part_of_the_prompt_that_the_backend_still_had_is_cheaper() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_prompt_tokens=800)
    assert Price(1.0, 2.0, cached=0.1).of(usage) == pytest.approx((200 * 1.0 + 800 * 0.1 + 100 * 2.0) / 1e6)
    assert Price(1.0, 2.0).of(usage) == pytest.approx((1000 * 1.0 + 100 * 2.0) / 1e6)
