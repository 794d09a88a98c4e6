"""Requests that wait, through the real router: who starts first, who is refused, and that nothing is left behind."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from fakes import ANSWER, BROKEN, FakeDispatcher, Hang, World, a_status, an_ask, fault, finished, said, seen
from waiting import eventually

from zoe_grpcd.core.answer import Measured
from zoe_grpcd.core.ask import Limits, Target
from zoe_grpcd.core.decision import Decision, Reason
from zoe_grpcd.core.errors import Exhausted, Fault, NoHealthyBackend
from zoe_grpcd.core.observation import LoadState
from zoe_grpcd.core.outcome import Completed, Moved
from zoe_grpcd.core.progress import Progress
from zoe_grpcd.core.views import Snapshot
from zoe_grpcd.run import Item, Reliability


class Queue:
    """A world whose first requests hold all places, and the order in which later ones start."""

    def __init__(self, slots: int = 1, **how: Any) -> None:
        self.world = World(**how)
        self.held = [Hang() for _ in range(slots)]
        self.backend = self.world.add(
            "a", *([hang, *ANSWER] for hang in self.held), ANSWER, seen_as=seen("m", slots=slots)
        )
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def fill(self, **fields: Any) -> None:
        """Takes all places."""
        for number in range(len(self.held)):
            await self.send("first", wait=partial(self._runs, number + 1), **fields)

    def _runs(self, count: int) -> bool:
        return self.backend.running == count

    async def send(self, name: str, wait: Callable[[], bool] | None = None, **fields: Any) -> None:
        """Sends a request that has to wait, if `wait` is not given."""
        count = len(self.world.waiting) + 1

        async def run() -> None:
            ask = an_ask(**fields)
            ask.observer = lambda _decision: self.order.append(name)
            await self.world.run(ask)

        self.tasks.append(asyncio.create_task(run()))
        await eventually(wait or (lambda: len(self.world.waiting) == count))

    async def end(self) -> list[str]:
        """Lets the places go, and returns who started, in order."""
        for hang in self.held:
            hang.over.set()
        await asyncio.gather(*self.tasks)
        assert self.world.left_behind == 0
        return [name for name in self.order if name != "first"]


async def test_what_a_servers_slots_do_not_take_waits_here() -> None:
    queue = Queue(slots=2)
    await queue.fill()
    await queue.send("third")
    assert len(queue.backend.calls) == 2
    assert await queue.end() == ["third"]


async def test_the_more_urgent_starts_first() -> None:
    queue = Queue()
    await queue.fill()
    for priority in ("batch", "normal", "low", "critical", "high"):
        await queue.send(priority, priority=priority)
    assert await queue.end() == ["critical", "high", "normal", "low", "batch"]


async def test_callers_take_turns() -> None:
    queue = Queue()
    await queue.fill()
    for number in range(3):
        await queue.send(f"ann {number}", caller="ann")
    await queue.send("bob 0", caller="bob")
    await queue.send("bob 1", caller="bob")
    assert await queue.end() == ["ann 0", "bob 0", "ann 1", "bob 1", "ann 2"]


async def test_the_earliest_deadline_starts_first_among_equals() -> None:
    queue = Queue()
    await queue.fill()
    for name, deadline in (("never", None), ("late", 900.0), ("soon", 300.0)):
        await queue.send(name, limits=limits(deadline))
    assert await queue.end() == ["soon", "late", "never"]


async def test_batch_work_that_has_waited_long_overtakes_a_newcomer_once() -> None:
    queue = Queue()
    await queue.fill()
    await queue.send("batch 0", priority="batch")
    await queue.send("batch 1", priority="batch")
    queue.world.clock.advance(25.0)
    await queue.send("normal")
    assert await queue.end() == ["batch 0", "normal", "batch 1"]


async def test_who_finds_batch_work_running_is_delayed_by_no_more_of_it() -> None:
    queue = Queue()
    await queue.fill(priority="batch")
    await queue.send("batch", priority="batch")
    queue.world.clock.advance(25.0)
    await queue.send("normal")
    assert await queue.end() == ["normal", "batch"]


async def test_a_request_for_another_server_does_not_wait_for_those_in_the_queue() -> None:
    queue = Queue(max_queue=1)
    await queue.fill()
    await queue.send("waits", target=Target(allowed_backends=frozenset("a")))
    queue.world.add("b", seen_as=seen("other", slots=1))
    await queue.world.run(an_ask(model="other"))
    await queue.end()


async def test_a_full_queue_sheds_before_it_decides_and_only_who_could_but_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue(max_queue=1)
    await queue.fill()
    await queue.send("waits")
    looks, look = Counter[str](), queue.world.fleet.picture.snapshot

    def counted(now: float) -> Snapshot:
        looks["looks"] += 1
        return look(now)

    monkeypatch.setattr(queue.world.fleet.picture, "snapshot", counted)
    for named in ("m", ""):
        with pytest.raises(Exhausted) as caught:
            await queue.world.run(an_ask(model=named))
        assert caught.value.reason == "QUEUE_FULL"
    assert not looks
    queue.world.add("b", seen_as=seen("m", slots=1))
    await queue.world.run(an_ask(model="m"))
    await queue.end()


async def test_nobody_takes_a_place_that_is_being_offered_to_somebody_before() -> None:
    queue = Queue()
    await queue.fill()
    await queue.send("waits")
    queue.held[0].over.set()
    await eventually(lambda: queue.backend.running == 0)
    newcomer = asyncio.create_task(queue.world.run(an_ask()))
    assert await queue.end() == ["waits"]
    await newcomer
    assert len(queue.backend.calls) == 3


async def test_a_cancelled_request_leaves_the_queue_and_the_next_one_starts() -> None:
    queue = Queue()
    await queue.fill()
    await queue.send("leaves", priority="high")
    await queue.send("stays")
    queue.tasks.pop(1).cancel()
    await eventually(lambda: len(queue.world.waiting) == 1)
    assert await queue.end() == ["stays"]


async def test_a_request_that_is_called_and_cancelled_at_the_same_time_holds_up_nobody() -> None:
    queue = Queue()
    await queue.fill()
    await queue.send("leaves", priority="high")
    await queue.send("stays")
    leaving = queue.tasks.pop(1)
    queue.world.waiting.stir()  # it is its turn to look
    leaving.cancel()
    assert await queue.end() == ["stays"]


async def test_who_pauses_before_another_try_holds_up_nobody() -> None:
    """It is called since the server that it waits for died, and pauses before it tries again what failed first."""
    queue = Queue(reliability=Reliability(retry_delay=60.0, longest_pause=1000.0, return_time=0.0))
    await queue.fill()
    world, held = queue.world, Hang()
    world.add("b", [fault(Fault.OVERLOADED)], seen_as=seen("m", slots=1))
    pausing = asyncio.create_task(world.run(an_ask(target=Target(allowed_backends=frozenset("ab")))))
    await eventually(lambda: len(world.waiting) == 1)
    world.add("c", [held, *ANSWER], ANSWER, seen_as=seen("m", slots=1))
    only_c = Target(allowed_backends=frozenset("c"))
    running = asyncio.create_task(world.run(an_ask(target=only_c)))
    await eventually(lambda: world.fleet.leases.in_flight("c") == 1)
    waiting = asyncio.create_task(world.run(an_ask(target=only_c)))
    await eventually(lambda: len(world.waiting) == 2)
    world.observe("a", BROKEN)
    await asyncio.sleep(0)
    held.over.set()
    await asyncio.wait_for(asyncio.gather(running, waiting), 30)
    for task in (pausing, *queue.tasks):
        task.cancel()
    await asyncio.gather(pausing, *queue.tasks, return_exceptions=True)
    assert world.left_behind == 0


async def test_who_would_not_wait_takes_the_second_best_that_is_free() -> None:
    queue = Queue()
    queue.world.add("b", seen_as=seen("m", slots=1), weight=0.2)
    await queue.fill(target=Target(allowed_backends=frozenset("a")))
    await queue.world.run(an_ask(max_queue_time=0.0))
    assert len(queue.world.dispatchers["b"].calls) == 1
    await queue.end()


async def test_a_server_that_does_not_tell_its_slots_is_given_one_more_than_it_was_seen_to_take() -> None:
    world = World()
    hang = Hang()
    backend = world.add("a", [hang, *ANSWER], kind="ollama", loads_in_turn=True)
    tasks = [asyncio.create_task(world.run()) for _ in range(4)]
    await eventually(lambda: len(world.waiting) == 2)
    assert backend.running == 2
    hang.over.set()
    await asyncio.gather(*tasks)
    assert world.left_behind == 0


async def test_one_that_has_no_model_in_memory_gets_few_until_it_tells_its_slots() -> None:
    world, hang = World(), Hang()
    empty = seen(a_status("m", state=LoadState.UNLOADED), a_status("n", state=LoadState.UNLOADED))
    router = world.add("a", [hang, *ANSWER], seen_as=empty)
    tasks = [asyncio.create_task(world.run(an_ask(model="m"))) for _ in range(6)]
    await eventually(lambda: len(world.waiting) == 4)
    assert router.running == 2
    world.observe("a", seen("m", a_status("n", state=LoadState.UNLOADED), slots=4, busy=2))
    await eventually(lambda: len(world.waiting) == 2)
    assert router.running == 4
    hang.over.set()
    await asyncio.gather(*tasks)
    assert world.left_behind == 0


# ------------------------------------------------------------------------------------------------------- deadlines


def limits(
    deadline: float | None = None, first_token: float | None = None, total: float | None = None
) -> Limits:
    return Limits(deadline, first_token, total)


def paced(world: World, seconds: float, tokens: int = 50) -> Sequence[Any]:
    """An answer that takes so long, by the world's clock."""
    steps: list[Any] = [said("x"), partial(world.clock.advance, seconds), said("y", tokens - 1)]
    return [*steps, finished(20, tokens, measured=Measured(prefill=0.2, prefill_tokens=20))]


async def practised(seconds: float = 10.0, **fields: Any) -> tuple[World, FakeDispatcher]:
    """A world whose backend was seen to take so long for an answer."""
    world = World()
    backend = world.add("a", seen_as=seen("m", slots=1), **fields)
    backend.scripts = [paced(world, seconds)]
    for _ in range(12):
        await world.run()
    return world, backend


async def refused(world: World, **fields: Any) -> Exhausted:
    with pytest.raises(Exhausted) as caught:
        await world.run(an_ask(**fields))
    with pytest.raises(Exhausted) as routed:
        world.router.route(an_ask(**fields))
    assert (routed.value.reason, routed.value.message) == (caught.value.reason, caught.value.message)
    return caught.value


async def test_a_deadline_that_nobody_can_meet_is_refused_at_once_with_the_earliest_time() -> None:
    world, backend = await practised()
    error = await refused(world, limits=limits(1.0))
    assert error.reason == "DEADLINE_UNREACHABLE"
    assert error.retry_after == pytest.approx(12.0, rel=0.2)
    assert "m @ a would need about" in error.message
    assert len(backend.calls) == 12
    assert world.left_behind == 0


async def test_a_wish_that_has_passed_meanwhile_is_told_as_nothing_and_not_as_less() -> None:
    world, _ = await practised()
    error = await refused(world, limits=Limits(total=-0.001))
    assert error.message.startswith("the answer is wanted within 0.00 s, and m @ a would need about")
    assert error.metadata["limit_seconds"] == "0.000"


async def test_a_deadline_that_may_just_be_met_is_tried() -> None:
    world, backend = await practised()
    await world.run(an_ask(limits=limits(10.0)))
    assert len(backend.calls) == 13


async def test_nobody_is_refused_by_a_guess() -> None:
    world = World()
    world.add("a")
    await world.run(an_ask("x" * 10000, limits=limits(0.001, 0.001, 0.001)))
    assert world.left_behind == 0


async def test_who_would_be_too_slow_and_is_down_as_well_may_be_back_for_a_later_request() -> None:
    world, _ = await practised()
    world.observe("a", BROKEN)
    with pytest.raises(NoHealthyBackend, match=r"a \(UNHEALTHY, TOO_SLOW\)") as caught:
        await world.run(an_ask(limits=limits(1.0)))
    assert caught.value.retry_after


async def test_the_wait_in_the_queue_counts() -> None:
    world, backend = await practised()
    hang = Hang()
    backend.scripts = [[hang, *ANSWER], ANSWER]
    backend.calls.clear()
    running = [asyncio.create_task(world.run()) for _ in range(3)]
    await eventually(lambda: len(world.waiting) == 2)
    error = await refused(world, priority="low", limits=limits(20.0))
    assert error.reason == "DEADLINE_UNREACHABLE"
    assert error.retry_after == pytest.approx(50.0, rel=0.2)
    assert "s of it to wait" in error.message
    assert world.router.route(an_ask(priority="high", limits=limits(20.0))).chosen.deployment.backend == "a"
    hang.over.set()
    await asyncio.gather(*running)
    assert world.left_behind == 0


async def test_a_faster_model_is_taken_if_the_caller_allows_another() -> None:
    world, _ = await practised()
    world.add("b", seen_as=seen("small", slots=1))
    hurried = an_ask(model="m", limits=limits(1.0), allow_different_model=True)
    assert world.router.route(hurried).chosen.deployment.model == "small"
    items = await world.run(hurried)
    assert next(i for i in items if isinstance(i, Decision)).chosen.deployment.model == "small"
    assert (
        await refused(world, target=Target(model="m"), limits=limits(1.0))
    ).reason == "DEADLINE_UNREACHABLE"


@pytest.mark.parametrize("wish", [{"total": 2.0}, {"first_token": 0.0001}])
async def test_a_candidate_that_is_slower_than_the_caller_likes_is_too_slow(wish: dict[str, float]) -> None:
    world, _ = await practised()
    world.add("b", seen_as=seen("m"), weight=0.1)
    ask = an_ask(limits=limits(**wish))
    decision = world.router.route(ask, explain=True)
    assert decision.chosen.deployment.backend == "b"
    assert [c.reasons for c in decision.candidates if c.deployment.backend == "a"] == [(Reason.TOO_SLOW,)]
    alone = an_ask(target=Target(allowed_backends=frozenset("a")), limits=limits(**wish))
    assert (await refused(world, target=alone.target, limits=alone.limits)).reason == "DEADLINE_UNREACHABLE"


@pytest.mark.parametrize(
    "told",
    [
        Measured(prefill=0.02, prefill_tokens=1),  # the server knew all of the prompt but its end
        Measured(prefill=0.02, prefill_tokens=9),
        Measured(),
    ],
)
@pytest.mark.parametrize("tokens", [2, 20])
async def test_a_first_token_within_a_millisecond_is_refused_after_four_answers_with_short_prompts(
    told: Measured, tokens: int
) -> None:
    world = World()
    backend = world.add("a", seen_as=seen("m", slots=1))
    first = partial(world.clock.advance, 0.04)
    rest = partial(world.clock.advance, 0.2)
    backend.scripts = [[first, said("x"), rest, said("y", tokens - 1), finished(9, tokens, measured=told)]]
    for _ in range(4):
        await world.run()
    error = await refused(world, limits=limits(first_token=0.001))
    assert error.reason == "DEADLINE_UNREACHABLE"
    assert len(backend.calls) == 4
    await world.run(an_ask(limits=limits(first_token=0.5)))
    assert len(backend.calls) == 5


async def test_what_has_failed_once_is_tried_to_the_end_whatever_the_estimate() -> None:
    world, backend = await practised()
    world.add("b", [fault(Fault.SERVER)], seen_as=seen("m"), weight=100.0)
    items = await world.run(an_ask(limits=limits(1.0)))
    assert [a.deployment.backend for a in items[-1].attempts] == ["b", "a"]  # type: ignore[union-attr]
    assert len(backend.calls) == 13


# -------------------------------------------------------------------------------------------------------- progress


async def heard(queue: Queue, **fields: Any) -> tuple[list[Item], asyncio.Task[None]]:
    """An eager request that waits, and what it hears."""
    items: list[Item] = []
    count = len(queue.world.waiting) + 1
    task = asyncio.create_task(queue.world.collect(items, an_ask(**fields), eager=True))
    queue.tasks.append(task)
    await eventually(lambda: len(queue.world.waiting) == count and len(items) >= 2)
    return items, task


async def test_an_eager_caller_hears_the_decision_its_position_and_the_wait() -> None:
    queue = Queue()
    await queue.fill()
    await queue.send("before")
    items, task = await heard(queue)
    decision, progress = items
    assert isinstance(decision, Decision)
    assert isinstance(progress, Progress)
    assert (progress.state, progress.ahead) == ("QUEUED", 1)
    assert progress.expected_wait
    await queue.end()
    kinds = [type(item) for item in items]
    assert kinds[:2] == [Decision, Progress]
    assert kinds.count(Decision) == 1
    assert kinds[-1] is Completed
    assert task.done()


async def test_progress_never_goes_back() -> None:
    queue = Queue()
    await queue.fill()
    await queue.send("before")
    items, _ = await heard(queue, priority="low")
    for number in range(3):
        queue.world.clock.advance(1.5)
        await queue.send(f"urgent {number}", priority="high")
        queue.world.waiting.stir()
        await asyncio.sleep(0)
    await queue.end()
    told = [item for item in items if isinstance(item, Progress)]
    queued = [item for item in told if item.state == "QUEUED"]
    assert [item.ahead for item in queued] == sorted((item.ahead for item in queued), reverse=True)
    waits = [item.expected_wait or 0.0 for item in queued]
    assert waits == sorted(waits, reverse=True)
    assert [item.state for item in told] == ["QUEUED"] * len(queued) + ["PREFILLING"]


async def test_a_caller_that_does_not_read_its_progress_holds_up_nobody() -> None:
    queue = Queue()
    await queue.fill()
    blocked, delivered = asyncio.Event(), list[Item]()

    async def deliver(item: Item) -> None:
        delivered.append(item)
        if isinstance(item, Progress):
            await blocked.wait()

    queue.tasks.append(
        asyncio.create_task(queue.world.router.run(an_ask(priority="critical"), deliver, eager=True))
    )
    await eventually(lambda: len(delivered) == 2)
    await queue.send("behind")
    queue.held[0].over.set()
    await eventually(lambda: "behind" in queue.order)
    blocked.set()
    await queue.end()
    assert isinstance(delivered[-1], Completed)


async def test_who_starts_elsewhere_than_it_was_told_hears_that() -> None:
    queue = Queue()
    await queue.fill()
    items, task = await heard(queue)
    queue.world.add("b", seen_as=seen("m", slots=1))
    queue.world.waiting.stir()
    await task
    (moved,) = [item for item in items if isinstance(item, Moved)]
    assert (moved.previous.deployment.backend, moved.current.deployment.backend) == ("a", "b")
    await queue.end()


async def test_who_waits_for_a_server_that_loads_hears_how_far_it_is() -> None:
    world = World()
    world.add("a", seen_as=seen("m", loading=True))
    items: list[Item] = []
    task = asyncio.create_task(world.collect(items, an_ask(), eager=True))
    await eventually(lambda: len(items) == 2)
    for part in (0.3, 0.6):
        world.observe("a", seen(a_status(state=LoadState.LOADING, load_fraction=part), loading=True))
        world.clock.advance(1.0)
        count = len(items)
        world.waiting.stir()
        await eventually(lambda count=count: len(items) > count)  # type: ignore[misc]
    world.observe("a", seen("m"))
    await task
    told = [(item.state, round(item.fraction, 1)) for item in items if isinstance(item, Progress)]
    assert told == [("LOADING", 0.0), ("LOADING", 0.3), ("LOADING", 0.6), ("PREFILLING", 0.0)]
    assert world.left_behind == 0


async def test_a_load_is_told_as_such() -> None:
    world = World()
    world.add("a", seen_as=seen(a_status(state=LoadState.UNLOADED)))
    items: list[Item] = []
    await world.collect(items, an_ask(), eager=True)
    assert [item.state for item in items if isinstance(item, Progress)] == ["LOADING"]


# ----------------------------------------------------------------------------------------------------------- memory

ONE_OF_TWO = seen("m", a_status("n", state=LoadState.UNLOADED))


class Memory:
    """A server with room for one model, which is at work, and requests for the other one."""

    def __init__(self, seconds: float = 20.0, **how: Any) -> None:
        self.world = World(**how)
        self.held = Hang()
        self.backend = self.world.add(
            "a", [said("he"), self.held, *ANSWER], ANSWER, seen_as=ONE_OF_TWO, loads_in_turn=True
        )
        self.options = {"max_output_tokens": max(1, round(seconds / 0.022))}
        self.tasks: list[asyncio.Task[list[Item]]] = []

    def send(self, model: str, **fields: Any) -> None:
        self.tasks.append(asyncio.create_task(self.world.run(an_ask(model=model, **fields))))

    async def busy(self) -> "Memory":
        """Its model is at work, for about so long as far as anybody knows."""
        self.send("m", options=self.options)
        await eventually(lambda: self.backend.running == 1)
        return self

    @property
    def asked(self) -> list[str]:
        return [call.backend_model for call in self.backend.calls]

    async def end(self) -> None:
        self.held.over.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 30)
        assert self.world.left_behind == 0


async def test_who_would_wait_for_memory_at_a_server_waits_here_until_it_is_free() -> None:
    memory = await Memory().busy()
    memory.send("n")
    await eventually(lambda: len(memory.world.waiting) == 1)
    assert memory.asked == ["m"]
    await memory.end()
    assert memory.asked == ["m", "n"]


async def test_who_waits_for_memory_takes_another_server_that_has_its_model() -> None:
    memory = await Memory().busy()
    memory.send("n")
    await eventually(lambda: len(memory.world.waiting) == 1)
    other = memory.world.add("b", seen_as=seen("n"))
    await eventually(lambda: other.calls)
    await memory.end()
    assert memory.asked == ["m"]


async def test_nobody_waits_here_for_memory_for_longer_than_it_would_have_at_the_server() -> None:
    memory = await Memory(seconds=1.0, max_queue_time=0.001).busy()
    memory.world.waiting.max_queue_time = 30.0
    memory.send("n")
    await eventually(lambda: len(memory.world.waiting) == 1)
    await eventually(lambda: memory.asked == ["m", "n"])
    await memory.end()


async def test_the_wait_for_memory_is_not_counted_against_the_time_in_the_queue() -> None:
    memory = await Memory(seconds=5.0, max_queue_time=0.8).busy()
    memory.send("n")
    await eventually(lambda: memory.asked == ["m", "n"])
    await memory.end()


async def test_who_limits_its_wait_is_sent_at_once() -> None:
    memory = await Memory().busy()
    memory.send("n", max_queue_time=20.0)
    await eventually(lambda: memory.asked == ["m", "n"])
    await memory.end()


async def test_nobody_waits_for_memory_when_few_seats_are_left() -> None:
    memory = await Memory(max_queue=2).busy()
    for _ in range(3):
        memory.send("n")
    await eventually(lambda: memory.asked[:2] == ["m", "n"])
    await memory.end()


async def test_who_waits_for_memory_is_sent_when_the_daemon_drains() -> None:
    memory = await Memory().busy()
    memory.send("n")
    await eventually(lambda: len(memory.world.waiting) == 1)
    memory.world.waiting.close()
    await eventually(lambda: memory.asked == ["m", "n"])
    await memory.end()


async def test_an_eager_caller_hears_that_it_waits_for_others_before_the_load() -> None:
    memory = await Memory().busy()
    items: list[Item] = []
    eager = asyncio.create_task(memory.world.collect(items, an_ask(model="n"), eager=True))
    await eventually(lambda: any(isinstance(item, Progress) for item in items))
    memory.held.over.set()
    await eager
    await memory.end()
    assert [item.state for item in items if isinstance(item, Progress)] == ["QUEUED", "LOADING"]
