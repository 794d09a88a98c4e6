"""The one retry loop, against backends that do what a script says."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from fakes import (
    ANSWER,
    BROKEN,
    Hang,
    Script,
    World,
    an_ask,
    fault,
    finished,
    said,
    seen,
    text_of,
)
from waiting import eventually

from zoe_grpcd.core.answer import Delta, Event, FinishReason, Seam, ToolDelta, Usage
from zoe_grpcd.core.ask import Ask, Limits, Target
from zoe_grpcd.core.backend import Deployment, Phase, Prefill
from zoe_grpcd.core.continuation import from_text
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.errors import (
    BackendFailed,
    BackendLost,
    BackendRejected,
    ContextTooLong,
    Exhausted,
    Fault,
    Misconfigured,
    ModelNotFound,
    NoHealthyBackend,
    ShuttingDown,
    Unavailable,
    ZoeError,
)
from zoe_grpcd.core.firsttoken import Bounds
from zoe_grpcd.core.generation import Generation
from zoe_grpcd.core.observation import LoadState, ModelStatus, Observation
from zoe_grpcd.core.outcome import Completed, Outcome, Switched
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.run import Item, Reliability

MOVES_ON = sorted(set(Fault) - {Fault.REJECTED})


def shapes(items: Sequence[Item]) -> list[str]:
    return ["events" if isinstance(item, list) else type(item).__name__ for item in items]


def the(kind: type[Any], items: Sequence[Item]) -> Any:
    (found,) = [item for item in items if isinstance(item, kind)]
    return found


def outcomes(items: Sequence[Item]) -> list[tuple[str, str]]:
    end: Completed = the(Completed, items)
    return [(attempt.deployment.backend, attempt.outcome.value) for attempt in end.attempts]


async def refusal(world: World, **how: Any) -> ZoeError:
    with pytest.raises(ZoeError) as caught:
        await world.run(**how)
    assert world.left_behind == 0
    return caught.value


# --------------------------------------------------------------------------------------------------- order of items


async def test_the_decision_comes_first_then_the_events_then_the_end() -> None:
    world = World()
    world.add("a")
    items = await world.run()
    assert shapes(items) == ["Decision", "events", "events", "Completed"]
    assert text_of(items) == "hello"
    assert world.left_behind == 0


async def test_nothing_is_announced_before_the_backend_answers() -> None:
    world = World()
    hang = Hang()
    world.add("a", [hang, *ANSWER])
    items: list[Item] = []
    task = asyncio.create_task(world.collect(items))
    await eventually(lambda: world.fleet.leases.in_flight("a") == 1)
    assert items == []
    hang.over.set()
    await task
    assert isinstance(items[0], Decision)


async def test_an_eager_caller_hears_the_decision_and_what_is_waited_for_at_once() -> None:
    world = World()
    hang = Hang()
    world.add("a", [hang, *ANSWER])
    items: list[Item] = []
    task = asyncio.create_task(world.collect(items, eager=True))
    await eventually(lambda: len(items) == 2)
    assert shapes(items) == ["Decision", "Progress"]
    assert the(Progress, items).state == "PREFILLING"
    hang.over.set()
    await task
    assert shapes(items) == ["Decision", "Progress", "events", "events", "Completed"]


@pytest.mark.parametrize(
    ("seen_as", "state"),
    [
        (seen(ModelStatus("m", LoadState.UNLOADED)), "LOADING"),
        (seen(ModelStatus("m", LoadState.LOADING)), "LOADING"),
        (seen(ModelStatus("m", LoadState.SLEEPING)), "WAKING"),
        (seen("m", slots=1, busy=1), "QUEUED"),
        (seen("m", slots=2, busy=1), "PREFILLING"),
    ],
)
async def test_progress_names_what_is_waited_for(seen_as: Observation, state: str) -> None:
    world = World()
    world.add("a", seen_as=seen_as)
    assert the(Progress, await world.run(eager=True)).state == state


async def test_empty_batches_are_no_first_token() -> None:
    world = World()
    hang = Hang()
    world.add("a", [[], [], hang, *ANSWER])
    items: list[Item] = []
    task = asyncio.create_task(world.collect(items))
    await eventually(lambda: world.dispatchers["a"].running == 1)
    assert items == []
    hang.over.set()
    await task
    assert text_of(items) == "hello"


async def test_what_follows_the_finish_is_not_waited_for() -> None:
    world = World()
    world.add("a", [said(), finished(), Hang()])
    items = await world.run()
    assert isinstance(items[-1], Completed)
    assert world.left_behind == 0


async def test_events_and_the_end_may_come_in_one_batch() -> None:
    world = World()
    world.add("a", [[*said("all"), *finished()]])
    items = await world.run()
    assert shapes(items) == ["Decision", "events", "Completed"]


async def test_the_backend_is_free_as_soon_as_the_answer_is_whole() -> None:
    world = World()
    world.add("a")
    left: list[int] = []

    async def deliver(item: Item) -> None:
        if isinstance(item, Completed):
            left.append(world.left_behind)

    await world.router.run(an_ask(), deliver)
    assert left == [0]


async def test_whole_hands_out_everything_at_the_end() -> None:
    world = World()
    world.add("a")
    items = await world.run(whole=True)
    assert shapes(items) == ["Decision", "events", "Completed"]
    assert text_of(items) == "hello"


# ---------------------------------------------------------------------------------------- failure before a first token


@pytest.mark.parametrize("kind", MOVES_ON)
async def test_a_fault_before_the_first_token_is_followed_by_the_next_candidate(kind: Fault) -> None:
    world = World()
    world.add("a", [fault(kind)])
    world.add("b")
    items = await world.run()
    decision: Decision = the(Decision, items)
    assert decision.chosen.deployment.backend == "b"
    assert text_of(items) == "hello"
    first, second = the(Completed, items).attempts
    assert (first.number, first.deployment.backend, first.error_reason) == (1, "a", kind.value)
    assert first.outcome is not Outcome.OK
    assert (second.number, second.deployment.backend, second.outcome) == (2, "b", Outcome.OK)
    assert world.left_behind == 0


async def test_a_failed_candidate_is_not_tried_again_while_others_are_left() -> None:
    world = World()
    tried = {name: world.add(name, [fault(Fault.SERVER)]) for name in "ab"}
    world.add("c")
    items = await world.run()
    assert outcomes(items) == [("a", "FAILED"), ("b", "FAILED"), ("c", "OK")]
    assert [len(d.calls) for d in tried.values()] == [1, 1]
    decision: Decision = the(Decision, items)
    assert decision.reason is Reason.FAILOVER
    assert "after a failure of m @ a, m @ b" in decision.explanation


async def test_attempts_end_at_the_configured_limit() -> None:
    world = World(reliability=Reliability(max_attempts=2, retry_delay=0.001))
    for name in "abc":
        world.add(name, [fault(Fault.SERVER, "boom", http_status=500)])
    error = await refusal(world)
    assert isinstance(error, BackendFailed)
    assert error.reason == "BACKEND_FAILED"
    assert [(a.number, a.deployment.backend, a.http_status) for a in error.attempts] == [
        (1, "a", 500),
        (2, "b", 500),
    ]
    assert error.message == "all 2 attempts failed, the last on b: boom"
    assert world.dispatchers["c"].calls == []


async def test_the_caller_may_ask_for_fewer_attempts() -> None:
    world = World()
    world.add("a", [fault(Fault.SERVER)])
    world.add("b")
    error = await refusal(world, ask=an_ask(max_attempts=1))
    assert len(error.attempts) == 1


async def test_what_the_caller_did_wrong_is_not_tried_elsewhere() -> None:
    world = World()
    world.add("a", [fault(Fault.REJECTED, "temperature must be below 2", http_status=400)])
    world.add("b")
    error = await refusal(world)
    assert isinstance(error, BackendRejected)
    assert "temperature must be below 2" in error.message
    assert world.dispatchers["b"].calls == []


@pytest.mark.parametrize(
    ("kind", "error", "reason"),
    [
        (Fault.REFUSED, BackendFailed, "BACKEND_FAILED"),
        (Fault.TIMEOUT, BackendFailed, "BACKEND_TIMEOUT"),
        (Fault.LOAD_FAILED, BackendFailed, "MODEL_LOAD_FAILED"),
        (Fault.SERVER, BackendFailed, "BACKEND_FAILED"),
        (Fault.CUT, BackendFailed, "BACKEND_FAILED"),
        (Fault.MODEL_MISSING, ModelNotFound, "MODEL_NOT_FOUND"),
        (Fault.UNAUTHORIZED, Misconfigured, "BACKEND_REJECTED"),
        (Fault.RATE_LIMITED, Exhausted, "RATE_LIMITED"),
        (Fault.OVERLOADED, Exhausted, "QUEUE_FULL"),
        (Fault.CONTEXT_TOO_LONG, ContextTooLong, "CONTEXT_TOO_LONG"),
        (Fault.REJECTED, BackendRejected, "BACKEND_REJECTED"),
    ],
)
async def test_the_last_fault_decides_the_error(kind: Fault, error: type[ZoeError], reason: str) -> None:
    world = World()
    world.add("only", [fault(kind)])
    raised = await refusal(world)
    assert type(raised) is error
    assert raised.reason == reason
    assert {a.error_reason for a in raised.attempts} == {kind.value}


async def test_a_sole_backend_with_a_server_error_is_tried_again_after_a_pause() -> None:
    world = World()
    world.add("only", [fault(Fault.SERVER)], ANSWER)
    items = await world.run()
    assert outcomes(items) == [("only", "FAILED"), ("only", "OK")]


async def test_the_pause_is_the_one_that_the_backend_asks_for() -> None:
    world = World(reliability=Reliability(retry_delay=600.0))
    world.add("only", [fault(Fault.RATE_LIMITED, retry_after=0.001)], ANSWER)
    assert outcomes(await world.run()) == [("only", "FAILED"), ("only", "OK")]


async def test_a_backend_that_wants_a_long_pause_is_not_waited_for() -> None:
    world = World()
    world.add("only", [fault(Fault.RATE_LIMITED, retry_after=3600.0)], ANSWER)
    error = await refusal(world)
    assert error.reason == "RATE_LIMITED"
    assert error.retry_after == 3600.0


async def test_one_that_is_down_as_well_can_be_used_when_both_have_passed() -> None:
    world = World()
    world.add("only", [fault(Fault.RATE_LIMITED, retry_after=60.0)])
    await refusal(world)
    world.observe("only", BROKEN)
    error = await refusal(world)
    assert error.reason == "NO_HEALTHY_BACKEND"
    assert "only (UNHEALTHY, RATE_LIMITED for 60 s)" in error.message
    assert error.retry_after == pytest.approx(60.0, abs=0.1)


async def test_a_pause_that_outlasts_the_deadline_is_not_waited_for() -> None:
    world = World()
    asked = world.add("only", [fault(Fault.RATE_LIMITED, retry_after=5.0)], ANSWER)
    for told in ("by its own attempt", "by that of another"):
        error = await refusal(world, ask=an_ask(limits=Limits(deadline=3.0)))
        assert (error.reason, len(asked.calls)) == ("RATE_LIMITED", 1), told
        assert error.retry_after == pytest.approx(5.0, abs=0.1), told


async def test_no_second_try_of_a_backend_that_a_probe_found_dead() -> None:
    world = World()
    dead = world.add("only", [lambda: world.observe("only", BROKEN), fault(Fault.SERVER)])
    error = await asyncio.wait_for(refusal(world), 30)
    assert error.reason == "BACKEND_FAILED"
    assert len(dead.calls) == 1


async def test_only_what_may_pass_is_tried_again() -> None:
    world = World(reliability=Reliability(max_attempts=4, retry_delay=0.001))
    missing = world.add("a", [fault(Fault.MODEL_MISSING)])
    world.add("b", [fault(Fault.SERVER)], ANSWER)
    assert outcomes(await world.run()) == [("a", "FAILED"), ("b", "FAILED"), ("b", "OK")]
    assert len(missing.calls) == 1


async def test_an_earlier_passing_fault_is_tried_again_after_a_lasting_one() -> None:
    world = World()
    world.add("a", [fault(Fault.SERVER)], ANSWER)
    world.add("b", [fault(Fault.MODEL_MISSING)])
    assert outcomes(await world.run()) == [("a", "FAILED"), ("b", "FAILED"), ("a", "OK")]


async def test_a_refused_connection_takes_the_backend_down_at_once() -> None:
    world = World()
    world.add("a", [fault(Fault.REFUSED)])
    world.add("b")
    await world.run()
    assert world.fleet.health.phase("a") is Phase.DOWN
    assert world.nudged == ["a"]


async def test_an_answer_without_a_finish_reason_is_a_failure() -> None:
    world = World()
    world.add("a", [[]])
    world.add("b")
    items = await world.run()
    assert the(Completed, items).attempts[0].error_reason == "CUT"


async def test_an_eager_caller_hears_of_the_change() -> None:
    world = World()
    world.add("a", [fault(Fault.SERVER)])
    world.add("b")
    items = await world.run(eager=True)
    assert shapes(items) == ["Decision", "Progress", "Switched", "Progress", "events", "events", "Completed"]
    switched: Switched = the(Switched, items)
    assert (switched.previous.deployment.backend, switched.current.deployment.backend) == ("a", "b")
    assert switched.failed_attempt.error_reason == "SERVER"


async def test_a_second_try_on_the_same_backend_is_no_switch() -> None:
    world = World()
    world.add("only", [fault(Fault.SERVER)], ANSWER)
    items = await world.run(eager=True)
    assert shapes(items) == ["Decision", "Progress", "Progress", "events", "events", "Completed"]


async def test_a_bug_in_a_dispatcher_leaves_nothing_behind() -> None:
    world = World()
    world.add("a", [ValueError("a bug")])
    with pytest.raises(ValueError, match="a bug"):
        await world.run()
    assert world.left_behind == 0


# ------------------------------------------------------------------------------------------------- a prompt too long


def windows(world: World, **sizes: int) -> None:
    for name, size in sizes.items():
        world.add(name, seen_as=seen(ModelStatus("m", context_tokens=size)))


async def test_a_prompt_that_was_too_long_goes_on_to_larger_windows_only() -> None:
    world = World()
    windows(world, a=4096, b=2048, c=4096, d=8192)
    world.dispatchers["a"].scripts = [[fault(Fault.CONTEXT_TOO_LONG)]]
    items = await world.run()
    assert outcomes(items) == [("a", "REJECTED"), ("d", "OK")]


async def test_a_prompt_too_long_for_the_largest_window_says_how_long_it_may_be() -> None:
    world = World()
    windows(world, a=4096, b=2048)
    world.dispatchers["a"].scripts = [[fault(Fault.CONTEXT_TOO_LONG, "5000 tokens exceed 4096")]]
    error = await refusal(world)
    assert isinstance(error, ContextTooLong)
    assert error.metadata["max_context_tokens"] == "4096"
    assert int(error.metadata["prompt_tokens"]) > 0
    assert [v.field for v in error.violations] == ["spec.messages"]
    assert world.dispatchers["b"].calls == []


async def test_it_does_not_count_against_the_backend() -> None:
    world = World()
    windows(world, a=4096)
    world.dispatchers["a"].scripts = [[fault(Fault.CONTEXT_TOO_LONG)]]
    await refusal(world)
    (view,) = world.fleet.picture.snapshot(world.clock()).by_model["m"]
    assert view.success == 1.0


# ------------------------------------------------------------------------------------------- failure after a first token


HALF: Script = ([*said("one ", 3)], [*said("two ", 2)], fault(Fault.CUT, "reset"))
REST: Script = (said("three"), finished(prompt=10, completion=1))


async def lost(world: World, ask: Ask | None = None, into: list[Item] | None = None) -> BackendLost:
    with pytest.raises(BackendLost) as caught:
        await world.collect([] if into is None else into, ask)
    assert world.left_behind == 0
    return caught.value


async def test_a_stream_whose_backend_dies_is_gone_on_with_elsewhere() -> None:
    world = World()
    world.add("a", HALF)
    second = world.add("b", REST)
    items = await world.run(an_ask(options={"max_output_tokens": 20}))
    assert shapes(items) == ["Decision", "events", "events", "Switched", "events", "Completed"]
    assert text_of(items) == "one two three"
    switched: Switched = the(Switched, items)
    assert (switched.previous.deployment.backend, switched.current.deployment.backend) == ("a", "b")
    assert (switched.seam, switched.tokens_kept) == (Seam.TEXT_PREFILL, 5)
    assert (switched.failed_attempt.outcome, switched.failed_attempt.output_tokens) == (Outcome.LOST, 5)
    asked = second.calls[0].generation
    assert asked.messages[-1] == {"role": "assistant", "content": "one two "}
    assert asked.options["max_output_tokens"] == 15
    assert outcomes(items) == [("a", "LOST"), ("b", "OK")]
    assert world.left_behind == 0


BEGUN = [{"role": "user", "content": "count"}, {"role": "assistant", "content": "one "}]


def begun_ask(*messages: dict[str, Any], **fields: Any) -> Ask:
    return Ask(Generation(messages or tuple(BEGUN)), **fields)


@pytest.mark.parametrize("prefill", list(Prefill))
async def test_what_the_caller_has_begun_is_not_said_once_more(prefill: Prefill) -> None:
    world = World()
    again = "one " if prefill is Prefill.REPEATS else ""
    a = world.add("a", (said(again + "two "), said("three"), finished(3, 2)), prefill=prefill)
    items = await world.run(begun_ask())
    assert text_of(items) == "two three"
    assert list(a.calls[0].generation.messages) == BEGUN
    goes_on = a.calls[0].continues is not None
    assert goes_on is (prefill is not Prefill.CLOSES)  # whoever begins another answer is not told to go on


async def test_who_is_not_known_to_repeat_may_say_the_same_once_more() -> None:
    world = World()
    world.add("a", (said("one "), said("two"), finished(3, 2)), prefill=Prefill.CONTINUES)
    assert text_of(await world.run(begun_ask())) == "one two"


async def test_what_the_caller_has_begun_is_lost_and_gone_on_with_elsewhere() -> None:
    world = World()
    world.add("a", ([*said("one two ")], fault(Fault.CUT)), prefill=Prefill.REPEATS)
    second = world.add("b", (said("one two three"), finished(4, 1)), prefill=Prefill.REPEATS)
    assert text_of(await world.run(begun_ask())) == "two three"
    assert second.calls[0].generation.messages[-1]["content"] == "one two "


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "", "refusal": "no"},
        {"role": "assistant", "content": "one ", "tool_calls": [CALL]},
    ],
)
async def test_what_is_no_beginning_in_plain_text_is_sent_as_it_is(last: dict[str, Any]) -> None:
    world = World()
    a = world.add("a", prefill=Prefill.REPEATS)
    await world.run(begun_ask(BEGUN[0], last))
    assert a.calls[0].continues is None


async def test_usage_adds_up_over_the_parts() -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", REST)
    assert the(Completed, await world.run()).usage == Usage(prompt_tokens=5, completion_tokens=6)


async def test_an_answer_may_lose_one_backend_after_the_other() -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", [said("three "), fault(Fault.CUT)])
    third = world.add("c", [said("four"), finished(20, 1)])
    items = await world.run()
    assert text_of(items) == "one two three four"
    assert [item.tokens_kept for item in items if isinstance(item, Switched)] == [5, 6]
    assert third.calls[0].generation.messages[-1]["content"] == "one two three "
    assert the(Completed, items).usage.completion_tokens == 7


def deaths(word: str, number: int) -> list[Script]:
    return [[said(f"{word} "), fault(Fault.CUT)] for _ in range(number)]


async def test_an_answer_that_gets_further_each_time_is_not_given_up() -> None:
    world = World()
    for name in "ab":
        world.add(name, *deaths(name, 3), REST)
    items = await world.run()
    assert text_of(items) == "a b a b a b three"
    assert outcomes(items) == [*([("a", "LOST"), ("b", "LOST")] * 3), ("a", "OK")]


async def test_but_not_for_ever() -> None:
    world = World()
    for name in "ab":
        world.add(name, *deaths(name, 10))
    assert len((await lost(world)).attempts) == 10


async def test_the_callers_own_limit_counts_every_attempt() -> None:
    world = World()
    for name in "ab":
        world.add(name, *deaths(name, 3))
    assert len((await lost(world, an_ask(max_attempts=3))).attempts) == 3


async def test_answers_that_begin_anew_each_time_get_no_further() -> None:
    world = World()
    for name in "abcdefgh":
        world.add(name, HALF, prefill=Prefill.CLOSES)
    assert len((await lost(world, an_ask(minimum_seam=Seam.RESTART))).attempts) == 4


async def test_who_fails_before_its_first_token_is_no_part_of_the_answer() -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", [fault(Fault.REFUSED)])
    world.add("c", REST)
    items = await world.run()
    switched: Switched = the(Switched, items)
    assert (switched.previous.deployment.backend, switched.current.deployment.backend) == ("a", "c")
    assert switched.failed_attempt.deployment.backend == "a"
    assert outcomes(items) == [("a", "LOST"), ("b", "FAILED"), ("c", "OK")]


def same_file(world: World, **scripts: Script) -> None:
    for name, script in scripts.items():
        world.add(name, script, seen_as=seen(ModelStatus("m", fingerprint="file")), takes_tokens=True)


async def test_the_same_file_goes_on_from_the_same_tokens() -> None:
    world = World()
    same_file(world, a=HALF)
    world.add("b", REST)
    same_file(world, c=REST)
    items = await world.run(an_ask(minimum_seam=Seam.EXACT_TOKENS))
    assert outcomes(items) == [("a", "LOST"), ("c", "OK")]
    assert the(Switched, items).seam is Seam.EXACT_TOKENS


async def test_tokens_that_are_not_found_again_make_a_lesser_seam() -> None:
    world = World()
    same_file(world, a=HALF, b=REST)
    world.dispatchers["b"].resume = from_text
    assert the(Switched, await world.run()).seam is Seam.TEXT_PREFILL


async def test_a_caller_that_wants_an_exact_seam_gets_no_other() -> None:
    world = World()
    same_file(world, a=HALF, b=REST)
    world.dispatchers["b"].resume = from_text
    world.dispatchers["a"].scripts.append([fault(Fault.REFUSED)])
    error = await lost(world, an_ask(minimum_seam=Seam.EXACT_TOKENS))
    assert world.dispatchers["b"].calls == []
    assert error.output_tokens_sent == 5


async def test_a_beginning_that_is_said_once_more_is_dropped() -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", [said("one two three"), finished()], prefill=Prefill.REPEATS)
    assert text_of(await world.run()) == "one two three"


async def test_a_text_that_repeats_itself_is_left_alone_where_nobody_repeats() -> None:
    world = World()
    world.add("a", [said(" ha"), fault(Fault.CUT)])
    world.add("b", [said(" ha ha"), finished()])
    assert text_of(await world.run()) == " ha ha ha"


async def test_who_closes_a_turn_that_has_begun_is_not_asked() -> None:
    world = World()
    world.add("a", HALF, [fault(Fault.REFUSED, "refused")])
    closing = world.add("b", REST, prefill=Prefill.CLOSES)
    error = await lost(world)
    assert closing.calls == []
    assert error.message == (
        "backend a failed after 5 tokens: reset; nobody went on with it, the last was a: refused"
    )


async def test_a_caller_that_takes_a_restart_is_told_to_drop_what_it_has() -> None:
    world = World()
    world.add("a", HALF)
    second = world.add("b", prefill=Prefill.CLOSES)
    items = await world.run(an_ask(minimum_seam=Seam.RESTART))
    assert shapes(items) == ["Decision", "events", "events", "Switched", "events", "events", "Completed"]
    assert (the(Switched, items).seam, the(Switched, items).tokens_kept) == (Seam.RESTART, 0)
    assert text_of(items[4:]) == "hello"
    assert second.calls[0].continues is None
    assert the(Completed, items).usage == Usage(5, 2)


@pytest.mark.parametrize(
    "ask", [an_ask(minimum_seam=Seam.NONE), an_ask(max_attempts=1)], ids=["none", "one try"]
)
async def test_a_stream_that_may_not_be_spliced_says_how_much_was_sent(ask: Ask) -> None:
    world = World()
    world.add("a", HALF)
    world.add("b")
    items: list[Item] = []
    error = await lost(world, ask, items)
    assert text_of(items) == "one two "
    assert error.output_tokens_sent == 5
    assert error.metadata == {"output_tokens_sent": "5"}
    assert [(a.outcome, a.output_tokens) for a in error.attempts] == [(Outcome.LOST, 5)]
    assert world.dispatchers["b"].calls == []


async def test_a_refusal_to_go_on_is_remembered_and_passed_over() -> None:
    world = World()
    world.add("a", HALF)
    refusing = world.add("b", [fault(Fault.REJECTED, "no prefill", http_status=400)])
    world.add("c", REST)
    assert outcomes(await world.run()) == [("a", "LOST"), ("b", "REJECTED"), ("c", "OK")]
    (view,) = [
        v for v in world.fleet.picture.snapshot(world.clock()).by_model["m"] if v.deployment.backend == "b"
    ]
    assert view.prefill is Prefill.CLOSES
    assert len(refusing.calls) == 1


@pytest.mark.parametrize(("allowed", "ends"), [(False, "lost"), (True, "other")])
async def test_another_model_goes_on_with_a_text_only_with_leave(allowed: bool, ends: str) -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", REST, seen_as=seen("other"))
    ask = an_ask(target=Target(model="m", fallback_models=("other",)), allow_different_model=allowed)
    if ends == "lost":
        await lost(world, ask)
    else:
        assert text_of(await world.run(ask)) == "one two three"


async def test_the_same_model_is_preferred_to_another() -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", seen_as=seen("other"), weight=9.0)
    world.add("c", REST)
    items = await world.run(an_ask(model="m", allow_different_model=True))
    assert outcomes(items) == [("a", "LOST"), ("c", "OK")]


async def test_a_sole_backend_goes_on_with_what_it_had_begun() -> None:
    world = World()
    world.add("a", HALF, REST)
    items = await world.run()
    assert text_of(items) == "one two three"
    assert outcomes(items) == [("a", "LOST"), ("a", "OK")]


async def test_a_server_that_is_started_again_goes_on() -> None:
    world = World(reliability=Reliability(retry_delay=0.001, return_time=30.0))
    gone = [*said("one "), *said("two ")], lambda: world.observe("a", BROKEN), fault(Fault.CUT)
    world.add("a", gone, REST)
    task = asyncio.create_task(world.run())
    await eventually(lambda: world.fleet.health.phase("a") is Phase.DOWN)
    world.observe("a", seen("m"))
    assert text_of(await task) == "one two three"


async def test_a_server_that_does_not_come_back_is_not_waited_for_long() -> None:
    world = World(reliability=Reliability(retry_delay=0.001, return_time=0.3))
    world.add("a", [*HALF[:2], lambda: world.observe("a", BROKEN), fault(Fault.CUT)])
    error = await asyncio.wait_for(lost(world), 30)
    assert len(error.attempts) == 1


async def test_a_stream_that_just_ends_is_lost() -> None:
    world = World()
    world.add("a", [said("one")])
    error = await lost(world, an_ask(max_attempts=3))
    assert [attempt.error_reason for attempt in error.attempts] == ["CUT"] * 3


async def test_an_answer_that_had_all_its_tokens_is_complete() -> None:
    world = World()
    world.add("a", HALF)
    other = world.add("b")
    end: Completed = the(Completed, await world.run(an_ask(options={"max_output_tokens": 5})))
    assert (end.finish, end.usage.completion_tokens) == (FinishReason.LENGTH, 5)
    assert other.calls == []
    assert world.left_behind == 0


async def test_a_stop_text_across_the_seam_ends_the_answer() -> None:
    world = World()
    world.add("a", HALF)
    world.add("b", [said("th"), said("ree"), Hang()])
    items = await world.run(an_ask(options={"stop": ["wo three"]}))
    assert text_of(items) == "one two "
    assert the(Completed, items).finish is FinishReason.STOP
    assert world.left_behind == 0


# ------------------------------------------------------------------------------------- thoughts, calls, objects, wholes


def thought(text: str) -> list[Event]:
    return [Delta(reasoning=text, tokens=1)]


async def test_an_unfinished_thought_is_thought_anew() -> None:
    world = World()
    world.add("a", [thought("hm"), fault(Fault.CUT)])
    second = world.add("b", [thought("ah"), *ANSWER])
    items = await world.run(an_ask(include_reasoning=True))
    assert (the(Switched, items).seam, the(Switched, items).tokens_kept) == (Seam.TEXT_PREFILL, 0)
    assert second.calls[0].continues is None
    assert text_of(items) == "hello"


async def test_a_thought_that_nobody_sees_leaves_no_seam() -> None:
    world = World()
    world.add("a", [thought("hm"), fault(Fault.CUT)])
    world.add("b")
    items = await world.run(an_ask(minimum_seam=Seam.NONE))
    assert the(Switched, items).seam is Seam.EXACT_TOKENS
    assert text_of(items) == "hello"


async def test_after_a_thought_only_the_answer_goes_on() -> None:
    world = World()
    world.add("a", [thought("hm"), said("for"), fault(Fault.CUT)])
    second = world.add("b", [said("ty"), finished()])
    assert text_of(await world.run()) == "forty"
    asked = second.calls[0].generation
    assert asked.messages[-1] == {"role": "assistant", "content": "for", "reasoning_content": "hm"}
    assert asked.options["reasoning_effort"] == "none"


def with_tools(**fields: Any) -> Ask:
    tools = ({"type": "function", "function": {"name": "f"}},)
    return an_ask(generation=Generation(({"role": "user", "content": "hello"},), tools=tools), **fields)


CALLING: Script = ([Delta("let me"), ToolDelta(0, "1", "f")], [ToolDelta(0, arguments='{"a"')])
CALLED: Script = (*CALLING, [ToolDelta(0, arguments=":1}", done=True), *finished()])


async def test_a_tool_call_is_delivered_when_it_is_whole() -> None:
    world = World()
    world.add("a", [*CALLING, fault(Fault.CUT)])
    world.add("b", [[ToolDelta(0, "2", "f", '{"b":2}', done=True)], finished()])
    items = await world.run(with_tools())
    events = [event for item in items if isinstance(item, list) for event in item]
    assert [e.arguments for e in events if isinstance(e, ToolDelta)] == ['{"b":2}']
    assert text_of(items) == "let me"


async def test_a_caller_that_takes_a_restart_sees_tool_calls_as_they_come() -> None:
    world = World()
    world.add("a", [*CALLING, fault(Fault.CUT)])
    world.add("b", CALLED)
    items = await world.run(with_tools(minimum_seam=Seam.RESTART))
    assert shapes(items) == ["Decision", *["events"] * 2, "Switched", *["events"] * 3, "Completed"]
    assert the(Switched, items).seam is Seam.RESTART


JSON_ASK = an_ask(
    generation=Generation(({"role": "user", "content": "hello"},), response_format={"type": "json_object"})
)


async def test_half_an_object_is_never_delivered() -> None:
    world = World()
    world.add("a", [said('{"a"'), said(":"), fault(Fault.CUT)])
    world.add("b", [said('{"b"'), said(":2}"), finished()])
    items = await world.run(JSON_ASK)
    assert text_of(items) == '{"b":2}'
    assert shapes(items) == ["Decision", "Switched", "events", "Completed"]
    assert the(Switched, items).seam is Seam.EXACT_TOKENS


@pytest.mark.parametrize("death", [fault(Fault.CUT), fault(Fault.SERVER), []])
async def test_whole_hides_a_death_in_the_middle(death: Any) -> None:
    world = World()
    world.add("a", [said("half an ans"), death])
    world.add("b", [said("wer"), finished()])
    items = await world.run(whole=True)
    assert shapes(items) == ["Decision", "events", "Completed"]
    assert text_of(items) == "half an answer"
    assert the(Decision, items).chosen.deployment.backend == "b"
    assert outcomes(items) == [("a", "LOST"), ("b", "OK")]


@pytest.mark.parametrize(
    ("ask", "prefill"),
    [
        (an_ask(), Prefill.CLOSES),
        (an_ask(minimum_seam=Seam.NONE), Prefill.CONTINUES),
        (an_ask(minimum_seam=Seam.EXACT_TOKENS), Prefill.CONTINUES),
        (JSON_ASK, Prefill.CONTINUES),
    ],
    ids=["closes", "none", "exact", "json"],
)
async def test_whole_begins_anew_where_nobody_may_go_on(ask: Ask, prefill: Prefill) -> None:
    world = World()
    world.add("a", [said("half an ans"), fault(Fault.CUT)])
    world.add("b", prefill=prefill)
    items = await world.run(ask, whole=True)
    assert text_of(items) == "hello"
    assert the(Completed, items).usage == Usage(5, 2)


# ------------------------------------------------------------------------------------ what a deployment makes of a prefill


def counting(prompt: int, text: str = "x") -> Script:
    return said(text), finished(prompt, 1)


@pytest.mark.parametrize(
    ("begun", "found"),
    [
        (counting(8), Prefill.CONTINUES),
        (counting(8, ": on and on and"), Prefill.REPEATS),
        (counting(11), Prefill.CLOSES),
        ([fault(Fault.REJECTED, http_status=400)], Prefill.CLOSES),
    ],
)
async def test_who_is_not_known_is_asked_before_it_goes_on(begun: Script, found: Prefill) -> None:
    world = World()
    world.add("a", HALF)
    unknown = world.add("b", counting(8), begun, REST, prefill=None)
    if found is Prefill.CLOSES:
        await lost(world)
    else:
        assert text_of(await world.run()) == "one two three"
    assert world.fleet.catalogue.prefill(unknown_deployment(world)) is found
    assert len(unknown.calls) == (2 if found is Prefill.CLOSES else 3)
    assert world.left_behind == 0


def unknown_deployment(world: World) -> Deployment:
    views = world.fleet.picture.snapshot(world.clock()).by_model["m"]
    return next(view.deployment for view in views if view.deployment.backend == "b")


async def test_who_gives_no_answer_to_that_is_passed_over() -> None:
    world = World()
    world.add("a", HALF)
    silent = world.add("b", [fault(Fault.SERVER)], prefill=None)
    world.add("c", REST)
    assert text_of(await world.run()) == "one two three"
    assert world.fleet.catalogue.prefill(unknown_deployment(world)) is None
    assert len(silent.calls) == 2


async def test_a_sole_backend_that_does_not_tell_is_not_asked_for_ever() -> None:
    world = World()
    silent = world.add("a", [said("Hel"), fault(Fault.CUT)], prefill=None)
    await asyncio.wait_for(lost(world), 30)
    assert len(silent.calls) == 3


async def test_it_is_found_out_after_the_first_answer_with_the_settings_of_the_request() -> None:
    world = World()
    dispatcher = world.add("b", ANSWER, counting(8), prefill=None)
    ask = an_ask(
        generation=Generation(({"role": "user", "content": "hello"},), backend_options={"num_ctx": 99})
    )
    await world.run(ask)
    await eventually(lambda: world.fleet.catalogue.prefill(unknown_deployment(world)) is Prefill.CONTINUES)
    await world.run(ask)
    assert len(dispatcher.calls) == 4
    assert {call.generation.backend_options["num_ctx"] for call in dispatcher.calls} == {99}
    assert world.left_behind == 0


async def test_finding_out_is_not_taken_for_the_work_of_a_usual_request() -> None:
    world, silence = World(), Hang()
    world.add("b", ANSWER, [silence], prefill=None, seen_as=seen("m", slots=1, busy=0))
    await world.run()
    await eventually(lambda: world.fleet.leases.in_flight("b") == 1)
    expected = world.router.route(an_ask()).chosen.estimate
    assert expected is not None
    assert 0 < expected.queue < 0.2
    silence.over.set()
    await eventually(lambda: world.left_behind == 0)


async def test_both_halves_of_it_are_asked_at_once_while_the_model_is_loaded() -> None:
    world, silence = World(), Hang()
    dispatcher = world.add("b", ANSWER, [silence], prefill=None)
    await world.run()
    await eventually(lambda: dispatcher.running == 2)
    silence.over.set()
    await eventually(lambda: world.left_behind == 0)


async def test_a_server_that_was_away_is_asked_again() -> None:
    world = World()
    world.add("b", ANSWER, counting(8), prefill=None)
    await world.run()
    await eventually(lambda: world.fleet.catalogue.prefill(unknown_deployment(world)) is Prefill.CONTINUES)
    world.observe("b", BROKEN)
    assert world.fleet.catalogue.prefill(unknown_deployment(world)) is None


# --------------------------------------------------------------------------------------------------------- retry budget


async def test_an_outage_is_not_doubled() -> None:
    world = World()
    for name in "ab":
        world.add(name, [fault(Fault.SERVER)])
    for _ in range(100):
        await refusal(world)
    calls = sum(len(dispatcher.calls) for dispatcher in world.dispatchers.values())
    assert 100 < calls < 100 + 10 + 0.2 * 100 + 20


async def test_who_is_well_gets_all_that_others_fail_at() -> None:
    world = World()
    world.add("a", [fault(Fault.SERVER)], weight=100.0)
    world.add("b")
    for _ in range(100):
        assert text_of(await world.run()) == "hello"


# ----------------------------------------------------------------------------------------------------------- timeouts


async def test_a_backend_without_a_first_token_in_time_is_left() -> None:
    world = World()
    world.add("a", [Hang()], first_token_timeout=0.001)
    world.add("b")
    assert outcomes(await world.run()) == [("a", "TIMEOUT"), ("b", "OK")]
    assert world.left_behind == 0


async def test_keep_alives_do_not_extend_the_time_for_a_first_token() -> None:
    world = World()
    world.add("a", [[], [], Hang()], first_token_timeout=0.001)
    world.add("b")
    assert outcomes(await world.run()) == [("a", "TIMEOUT"), ("b", "OK")]


async def test_a_backend_that_falls_silent_is_lost() -> None:
    world = World()
    world.add("a", [said(), Hang()], idle_timeout=0.001)
    error = await lost(world)
    assert "silent for 0.001 s" in error.message
    assert error.attempts[0].error_reason == "TIMEOUT"


async def test_the_time_for_a_first_token_grows_with_the_expected_load() -> None:
    world = World(reliability=Reliability(first_token=Bounds(floor=0.001)))
    world.add("a", [Hang()])
    world.add("b")
    assert outcomes(await world.run()) == [("a", "TIMEOUT"), ("b", "OK")]
    world = World(reliability=Reliability(first_token=Bounds(floor=0.001)))
    hang = Hang()
    cold = ModelStatus("m", LoadState.UNLOADED, size_bytes=4_000_000_000)  # 10 s
    backend = world.add("a", [hang, *ANSWER], seen_as=seen(cold))
    start, task = time.monotonic(), asyncio.create_task(world.run())
    await eventually(lambda: backend.running and time.monotonic() > start + 0.1)
    hang.over.set()
    assert outcomes(await task) == [("a", "OK")]


async def test_a_backend_that_is_seen_reading_is_slow_and_does_not_hang() -> None:
    world = World(reliability=Reliability(first_token=Bounds(floor=0.3)))
    hang, start, read = Hang(), time.monotonic(), count()
    backend = world.add("a", [hang, *ANSWER], seen_as=seen("m", slots=1, busy=0, reading=()))
    task = asyncio.create_task(world.run())

    def has_read_for_long() -> bool:
        world.observe("a", seen("m", slots=1, busy=backend.running, reading=((7, next(read)),)))
        return time.monotonic() > start + 1.0

    await eventually(has_read_for_long)
    hang.over.set()
    assert outcomes(await task) == [("a", "OK")]


async def test_a_backend_that_reads_no_further_hangs() -> None:
    world = World(reliability=Reliability(first_token=Bounds(floor=0.05)))
    backend = world.add("a", [Hang()], seen_as=seen("m", slots=1, busy=0, reading=()))
    world.add("b", weight=0.5)
    task = asyncio.create_task(world.run())
    await eventually(lambda: backend.running)

    def is_over() -> bool:
        world.observe("a", seen("m", slots=1, busy=1, reading=((7, 512),)))
        return task.done()

    await eventually(is_over)
    assert outcomes(task.result()) == [("a", "TIMEOUT"), ("b", "OK")]


# ---------------------------------------------------------------------------------------------------- dead backends


async def test_a_backend_found_dead_is_given_up_by_all_who_wait_for_its_first_token() -> None:
    world = World()
    world.add("a", [Hang()])
    tasks = [asyncio.create_task(world.run()) for _ in range(3)]
    await eventually(lambda: world.fleet.leases.in_flight("a") == 3)
    world.add("b")
    world.observe("a", BROKEN)
    for items in await asyncio.wait_for(asyncio.gather(*tasks), 30):
        assert outcomes(items) == [("a", "TIMEOUT"), ("b", "OK")]
    assert world.left_behind == 0


async def test_who_is_given_up_without_another_candidate_hears_why() -> None:
    world = World()
    world.add("a", [Hang()])
    task = asyncio.create_task(refusal(world))
    await eventually(lambda: world.fleet.leases.in_flight("a") == 1)
    world.fleet.health.observe_silence("a", 2.0, world.clock())
    await asyncio.sleep(0)
    assert world.fleet.leases.in_flight("a") == 1, "one silence is a suspicion only"
    world.fleet.health.observe_silence("a", 2.0, world.clock())
    error = await asyncio.wait_for(task, 30)
    assert "given up before the first token: no answer to a probe within 2 s" in error.message
    assert isinstance(error, Unavailable)


async def test_an_answer_that_has_begun_is_not_given_up() -> None:
    world = World()
    hang = Hang()
    world.add("a", [said("be"), hang, said("gun"), finished()])
    items: list[Item] = []
    task = asyncio.create_task(world.collect(items))
    await eventually(lambda: len(items) == 2)
    world.observe("a", BROKEN)
    hang.over.set()
    await task
    assert text_of(items) == "begun"


async def test_a_death_in_the_very_moment_of_the_time_limit_is_no_error() -> None:
    """Both end the same wait; the second must find it ended, not fail on it."""
    world = World()
    world.add("a", [Hang()])
    task = asyncio.create_task(refusal(world))
    await eventually(lambda: world.fleet.leases.in_flight("a") == 1)
    (lease,) = world.fleet._hosts["a"].leases
    assert lease.abandon is not None
    abandon = lease.abandon
    loop = asyncio.get_running_loop()
    abandon()
    loop.call_soon(abandon)  # after the time-out has fired, before the waiting task has seen it
    loop.set_exception_handler(lambda _, context: pytest.fail(str(context)))
    assert (await task).reason == "BACKEND_TIMEOUT"


# ------------------------------------------------------------------------------------------------- loading and waiting


async def test_a_backend_that_says_it_loads_is_waited_for() -> None:
    world = World()
    world.add("a", [fault(Fault.LOADING, "Loading model", http_status=503)], ANSWER)
    task = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    assert world.fleet.health.phase("a") is Phase.LOADING
    assert world.nudged == ["a"]
    world.observe("a", seen("m"))
    assert outcomes(await task) == [("a", "FAILED"), ("a", "OK")]
    assert world.left_behind == 0


async def test_a_request_waits_for_a_backend_that_is_loading() -> None:
    world = World()
    world.add("a", seen_as=seen("m", loading=True))
    task = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    world.observe("a", seen("m"))
    assert text_of(await task) == "hello"


async def test_a_wait_for_a_load_ends_when_the_backend_dies() -> None:
    world = World()
    world.add("a", seen_as=seen("m", loading=True))
    task = asyncio.create_task(refusal(world))
    await eventually(lambda: len(world.waiting) == 1)
    world.observe("a", BROKEN)
    assert isinstance(await task, NoHealthyBackend)


async def test_the_callers_own_limit_holds_for_a_load_too() -> None:
    world = World()
    world.add("a", seen_as=seen("m", loading=True))
    error = await refusal(world, ask=an_ask(max_queue_time=0.0))
    assert error.reason == "QUEUE_TIMEOUT"


async def test_requests_beyond_max_in_flight_wait_in_order() -> None:
    world = World()
    first = Hang()
    world.add("a", [first, *ANSWER], ANSWER, max_in_flight=1)
    order: list[int] = []

    async def one(number: int) -> None:
        await world.run()
        order.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(one(number)))
        await eventually(lambda: world.fleet.leases.in_flight("a") + len(world.waiting) == len(tasks))
    assert world.fleet.leases.in_flight("a") == 1
    first.over.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert world.left_behind == 0


async def test_max_in_flight_is_never_exceeded() -> None:
    world = World()
    hang, in_flight = Hang(), list[int]()
    world.add(
        "a", [lambda: in_flight.append(world.fleet.leases.in_flight("a")), hang, *ANSWER], max_in_flight=3
    )
    tasks = [asyncio.create_task(world.run()) for _ in range(20)]
    await eventually(lambda: len(world.waiting) == 17)
    hang.over.set()
    await asyncio.gather(*tasks)
    assert len(in_flight) == 20
    assert max(in_flight) == 3
    assert world.left_behind == 0


async def test_a_waiting_request_takes_whichever_backend_is_free_first() -> None:
    world = World()
    world.add("a", [Hang()], max_in_flight=1)
    held = asyncio.create_task(world.run())
    await eventually(lambda: world.fleet.leases.in_flight("a") == 1)
    waiter = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    world.add("b")
    world.waiting.stir()
    assert outcomes(await waiter) == [("b", "OK")]
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert world.left_behind == 0


async def saturated(world: World) -> asyncio.Task[list[Item]]:
    world.add("a", [Hang()], max_in_flight=1)
    held = asyncio.create_task(world.run())
    await eventually(lambda: world.fleet.leases.in_flight("a") == 1)
    return held


async def end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_full_queue_refuses_at_once() -> None:
    world = World(max_queue=1)
    held = await saturated(world)
    waiter = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    with pytest.raises(Exhausted, match="1 requests wait already") as caught:
        await world.run()
    assert caught.value.reason == "QUEUE_FULL"
    await end(waiter)
    await end(held)
    assert world.left_behind == 0


@pytest.mark.parametrize(("limit", "own"), [(0.001, None), (30.0, 0.001), (30.0, 0.0)])
async def test_a_wait_has_an_end(limit: float, own: float | None) -> None:
    world = World(max_queue_time=limit)
    held = await saturated(world)
    with pytest.raises(Exhausted) as caught:
        await world.run(an_ask(max_queue_time=own))
    assert caught.value.reason == "QUEUE_TIMEOUT"
    await end(held)
    assert world.left_behind == 0


async def test_attempts_before_the_wait_do_not_count_as_waiting() -> None:
    world = World()

    def an_hour() -> None:
        world.clock.advance(3600)

    world.add("a", [an_hour, fault(Fault.MODEL_MISSING)])
    world.add("b", [Hang()], ANSWER, max_in_flight=1)
    busy = asyncio.create_task(world.run(an_ask(target=Target(allowed_backends=frozenset("b")))))
    await eventually(lambda: world.fleet.leases.in_flight("b") == 1)
    task = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    await end(busy)
    assert outcomes(await task) == [("a", "FAILED"), ("b", "OK")]


async def test_time_in_the_queue_is_reported() -> None:
    world = World()
    held = await saturated(world)
    world.dispatchers["a"].scripts.append(ANSWER)
    task = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    world.clock.advance(2.5)
    await end(held)
    assert the(Completed, await task).timings.queue == 2.5


async def test_nobody_waits_in_a_daemon_that_drains() -> None:
    world = World()
    held = await saturated(world)
    task = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    world.waiting.close()
    with pytest.raises(ShuttingDown):
        await task
    await end(held)
    assert world.left_behind == 0


# ------------------------------------------------------------------------------------------------------------- cancel


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    world = World()
    held = await saturated(world)
    task = asyncio.create_task(world.run())
    await eventually(lambda: len(world.waiting) == 1)
    await end(task)
    assert len(world.waiting) == 0
    await end(held)
    assert world.left_behind == 0


@pytest.mark.parametrize("how", [{}, {"eager": True}, {"whole": True}])
@pytest.mark.parametrize("script", [[Hang], [said, Hang]], ids=["before the first token", "mid-stream"])
async def test_a_cancelled_request_frees_its_backend(how: dict[str, Any], script: list[Any]) -> None:
    world = World()
    upstream = world.add("a", [step() for step in script])
    items: list[Item] = []
    task = asyncio.create_task(world.collect(items, **how))
    await eventually(lambda: upstream.running == 1)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.left_behind == 0
    if not how.get("eager"):  # the first piece for such a caller is awaited beside what it is told meanwhile
        assert upstream.closed_in == upstream.opened_in == [task]


async def test_a_caller_that_takes_no_more_frees_the_backend() -> None:
    world = World()
    upstream = world.add("a", [said(), said(), Hang()])
    running: list[int] = []

    async def deliver(item: Item) -> None:
        running.append(upstream.running)
        raise Exhausted("the client reads nothing", cause="SLOW_CONSUMER")

    with pytest.raises(Exhausted):
        await world.router.run(an_ask(), deliver)
    assert running == [1]
    assert world.left_behind == 0
    assert upstream.closed_in == upstream.opened_in == [asyncio.current_task()]


async def test_a_caller_that_takes_not_even_the_announcement_frees_the_backend() -> None:
    world = World()
    world.add("a")
    in_flight: list[int] = []

    async def deliver(item: Item) -> None:
        in_flight.append(world.fleet.leases.in_flight("a"))
        raise Exhausted("the client reads nothing", cause="SLOW_CONSUMER")

    with pytest.raises(Exhausted):
        await world.router.run(an_ask(), deliver, eager=True)
    assert in_flight == [1]
    assert world.left_behind == 0


async def test_a_deadline_reaches_the_backend() -> None:
    world = World()
    upstream = world.add("a", [Hang()])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await world.run()
    assert len(upstream.calls) == 1
    assert world.left_behind == 0


async def test_a_cancelled_pause_between_two_tries_ends() -> None:
    world = World(reliability=Reliability(retry_delay=5.0))
    world.add("only", [fault(Fault.SERVER)])
    task = asyncio.create_task(world.run())
    await eventually(lambda: world.nudged == ["only"])
    assert world.left_behind == 0, "a pause keeps no place on the backend"
    await end(task)
    assert task.cancelled()
    assert world.left_behind == 0


async def test_a_cancelled_request_says_nothing_about_its_backend() -> None:
    world = World()
    world.add("a", [Hang()])
    task = asyncio.create_task(world.run())
    await eventually(lambda: world.fleet.leases.in_flight("a") == 1)
    await end(task)
    (view,) = world.fleet.picture.snapshot(world.clock()).by_model["m"]
    assert view.success == 1.0


# ----------------------------------------------------------------------------------------------------------- deciding


async def test_route_decides_and_sends_nothing() -> None:
    world = World()
    upstream = world.add("a")
    decision = world.router.route(an_ask())
    assert decision.chosen.deployment.backend == "a"
    assert len(decision.id) == 16
    assert upstream.calls == []
    assert world.left_behind == 0


async def test_route_and_run_decide_alike() -> None:
    world = World()
    world.add("a", weight=0.5)
    world.add("b")
    ask = an_ask("What is the capital of France?")
    routed, ran = world.router.route(ask), the(Decision, await world.run(ask))
    assert (routed.chosen, routed.explanation) == (ran.chosen, ran.explanation)


async def test_a_fleet_without_backends_is_unavailable() -> None:
    assert isinstance(await refusal(World()), NoHealthyBackend)


@pytest.mark.parametrize(("allowed", "served_by"), [(False, None), (True, "other")])
async def test_another_model_is_tried_only_with_the_callers_leave(
    allowed: bool, served_by: str | None
) -> None:
    world = World()
    world.add("a", [fault(Fault.MODEL_MISSING)])
    world.add("b", seen_as=seen("other"))
    ask = an_ask(model="m", allow_different_model=allowed)
    if served_by is None:
        with pytest.raises(ModelNotFound):
            await world.run(ask)
    else:
        assert the(Completed, await world.run(ask)).attempts[-1].deployment.model == served_by


async def test_a_burst_spreads_over_equal_backends() -> None:
    world = World()
    hang = Hang()
    for name in "ab":
        world.add(name, [hang, *ANSWER])
    tasks = [asyncio.create_task(world.run()) for _ in range(8)]
    await eventually(lambda: world.fleet.leases.in_flight("a") + world.fleet.leases.in_flight("b") == 8)
    assert (world.fleet.leases.in_flight("a"), world.fleet.leases.in_flight("b")) == (4, 4)
    hang.over.set()
    await asyncio.gather(*tasks)
    assert world.left_behind == 0


async def test_the_call_carries_the_backends_name_for_the_model() -> None:
    world = World()
    upstream = world.add("a", seen_as=seen(ModelStatus("/models/m.gguf", alias="m")))
    await world.run(an_ask(model="m"))
    assert upstream.calls[0].backend_model == "/models/m.gguf"


async def test_what_a_finished_request_teaches_reaches_the_next_decision() -> None:
    world = World()

    def slowly() -> None:
        world.clock.advance(60)

    world.add("a", [slowly, said("x"), slowly, said("y" * 40, 40), finished(5, 41)], ANSWER)
    world.add("b")
    assert the(Decision, await world.run()).chosen.deployment.backend == "a"
    assert the(Decision, await world.run()).chosen.deployment.backend == "b"


async def test_events_are_handed_on_as_they_came() -> None:
    world = World()
    batch = [Delta("a", tokens=1), Delta(reasoning="b", tokens=2)]
    world.add("x", [list(batch), finished()])
    items = await world.run()
    assert items[1] == batch
