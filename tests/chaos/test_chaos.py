"""Each fault, at once and in the middle of an answer, between the daemon and each kind of server; another one is well."""

import grpc
import pytest
from chaos.stage import MODELS, SILENCE, WORDS, Stage, tried
from faultproxy import Fault, How

from zoe.inference.v1.routing_pb2 import SEAM_QUALITY_EXACT_TOKENS, SEAM_QUALITY_TEXT_PREFILL
from zoe_client import (
    BackendFailed,
    BackendLost,
    BackendTimeout,
    NoHealthyBackend,
    RateLimited,
    ZoeError,
)

BEFORE = {
    "refuse": Fault(How.REFUSE),
    "reset": Fault(How.RESET),
    "blackhole": Fault(How.BLACKHOLE),
    "cut": Fault(How.CUT),
    "end": Fault(How.END),
    "garbage": Fault(How.GARBAGE),
    "429": Fault(How.ERROR, status=429),
    "429 for a while": Fault(How.ERROR, status=429, retry_after="1"),
    "500": Fault(How.ERROR, status=500),
    "503": Fault(How.ERROR, status=503),
    "503 for a while": Fault(How.ERROR, status=503, retry_after="1"),
}
PASSED = 5  # pieces of an answer, when it strikes
AFTER = {
    how.name.lower(): Fault(how, after=PASSED)
    for how in (How.REFUSE, How.RESET, How.BLACKHOLE, How.CUT, How.END, How.ERROR, How.GARBAGE)
}
SLOW = {
    "delay": Fault(How.DELAY, seconds=SILENCE / 5),
    "delay in the middle": Fault(How.DELAY, after=PASSED, seconds=SILENCE / 5),
    "trickle": Fault(How.TRICKLE),
    "trickle in the middle": Fault(How.TRICKLE, after=PASSED),
}


def each(faults: dict[str, Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
SERVERS = pytest.mark.parametrize("name", MODELS)


@WAYS
@SERVERS
@each(BEFORE)
async def test_before_the_first_token_another_one_answers(
    stage: Stage, name: str, fault: Fault, streamed: bool
) -> None:
    await stage.strike(name, fault)
    heard = await stage.ask(name, streamed=streamed)
    assert heard.text == stage.text
    assert heard.usage == stage.usage
    assert not heard.switches
    first, *others = heard.attempts
    assert first[0] == name or fault.how is How.REFUSE  # which a probe may find first
    assert [first, *others][-1] == ("spare", "OK")
    assert len(others) == (first[0] == name)


@WAYS
@SERVERS
@each(AFTER)
async def test_after_the_first_token_another_one_goes_on(
    stage: Stage, name: str, fault: Fault, streamed: bool
) -> None:
    await stage.strike(name, fault)
    heard = await stage.ask(name, streamed=streamed)
    assert heard.text == stage.text
    assert heard.usage == stage.usage
    assert heard.attempts == [(name, "LOST"), ("spare", "OK")]
    if streamed:
        (switched,) = heard.switches
        exact = name != "ollama"
        assert switched.seam == (SEAM_QUALITY_EXACT_TOKENS if exact else SEAM_QUALITY_TEXT_PREFILL)
        assert 1 <= switched.tokens_kept < WORDS
        assert heard.tokens == WORDS


@WAYS
@SERVERS
@each(SLOW)
async def test_who_is_only_slow_answers_all_of_it(
    stage: Stage, name: str, fault: Fault, streamed: bool
) -> None:
    await stage.strike(name, fault)
    heard = await stage.ask(name, streamed=streamed)
    assert heard.text == stage.text
    assert heard.attempts == [(name, "OK")]


# ------------------------------------------------------------------------------------------------- with nobody else


TOLD: dict[str, set[type[ZoeError]]] = {
    # BackendTimeout: a probe was refused first, and the request given up for that
    "refuse": {NoHealthyBackend, BackendFailed, BackendTimeout},
    "reset": {BackendFailed},
    "blackhole": {BackendTimeout},
    "cut": {BackendFailed},
    "end": {BackendFailed},
    "garbage": {BackendFailed},
    "429": {RateLimited},
    "500": {BackendFailed},
    "503": {BackendFailed},
}


@WAYS
@pytest.mark.parametrize("what", TOLD)
async def test_who_has_nobody_else_is_told_why_and_when_to_come_back(
    stage: Stage, what: str, streamed: bool
) -> None:
    await stage.strike("single", BEFORE[what], "alone")
    refused, sent = await stage.refused("alone", streamed=streamed)
    assert type(refused) in TOLD[what]
    assert refused.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert refused.retry_after is not None
    assert refused.retry_after > 0
    assert sent == 0


@WAYS
@each(AFTER)
async def test_who_has_nobody_else_is_told_how_much_was_sent(
    stage: Stage, fault: Fault, streamed: bool
) -> None:
    await stage.strike("single", fault, "alone")
    refused, sent = await stage.refused("alone", streamed=streamed)
    assert tried(refused.attempts)[0] == ("single", "LOST")
    if streamed:
        assert isinstance(refused, BackendLost)
        assert refused.tokens_sent == sent >= 1
    else:
        assert refused.code is grpc.StatusCode.UNAVAILABLE
