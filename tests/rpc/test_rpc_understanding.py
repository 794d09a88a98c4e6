"""An intent that takes longer to find than a decision may: it is there before the decision, and only where it decides."""

import pytest
from rpc.stage import Setting, Stage, asked, failed, said, staged, whole

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe.inference.v1 import spec_pb2
from zoe_grpcd.core.ask import Verdict
from zoe_grpcd.core.reading import Shape


class Understood:
    """Says the same of every text, and keeps what it was asked."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, Shape]] = []

    async def __call__(self, text: str, shape: Shape) -> Verdict | None:
        self.asked.append((text, shape))
        return self.verdict


async def intent_of(stage: Stage, spec: spec_pb2.InferenceSpec) -> str:
    return (await stage.inference.Route(pb.RouteRequest(spec=spec))).decision.intent


async def test_what_was_understood_decides_in_every_method() -> None:
    understood = Understood(Verdict("creative", 0.9, ("like an example",)))
    async with staged(Setting(servicer={"understanding": understood})) as stage:
        decision = (await stage.inference.Route(pb.RouteRequest(spec=asked(said("Hm."))))).decision
        complete = await stage.inference.Complete(whole(said("Hm.")))
        stream = stage.inference.StreamComplete(pb.StreamCompleteRequest(spec=asked(said("Hm."))))
        first, *_ = [item async for item in stream]

    assert {decision.intent, complete.decision.intent, first.decision.intent} == {"creative"}
    assert "like an example" in decision.explanation
    assert understood.asked == [("Hm.", Shape(prompt_tokens=understood.asked[0][1].prompt_tokens))] * 3


@pytest.mark.parametrize("verdict", [None, Verdict("an intent of an older configuration", 1.0)])
async def test_without_a_verdict_of_use_keywords_decide(verdict: Verdict | None) -> None:
    async with staged(Setting(servicer={"understanding": Understood(verdict)})) as stage:
        assert await intent_of(stage, asked(said("Write a short story about rain."))) == "creative"


@pytest.mark.parametrize(
    "target", [{"model": "tiny"}, {"auto": {"intent": "code"}}, {"capability": {"required": ["chat"]}}]
)
async def test_nobody_is_asked_where_the_intent_does_not_decide(target: dict[str, object]) -> None:
    understood = Understood(Verdict("creative", 0.9))
    async with staged(Setting(servicer={"understanding": understood})) as stage:
        assert await intent_of(stage, asked(target=target)) != "creative"
    assert understood.asked == []


async def test_a_wrong_request_is_refused_before_anybody_is_asked() -> None:
    understood = Understood(Verdict("creative", 0.9))
    async with staged(Setting(servicer={"understanding": understood})) as stage:
        await failed(stage.inference.Route(pb.RouteRequest(spec=asked(max_output_tokens=0))))
    assert understood.asked == []
