"""The bound of the simulator: no policy answers a request sooner, and one that is alone is answered as soon as that."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation.bound import soonest
from benchmarks.simulation.boxes import Box
from benchmarks.simulation.clock import Clock
from benchmarks.simulation.daemon import Call
from benchmarks.simulation.drawn import drawn
from benchmarks.simulation.fleets import CHAT, GENERAL, Home
from benchmarks.simulation.measures import BOUND, figures, played, simulate
from benchmarks.simulation.rivals import POLICIES
from benchmarks.simulation.servers import Ollama, Router, Server, Single
from benchmarks.simulation.traces import CHATTING, TRACES, Author, Mishap, Trace

SECONDS = 60.0


def calls_of(home: Home, trace: Trace, policy: str) -> list[Call]:
    with asyncio.Runner(loop_factory=Clock) as runner:
        return runner.run(played(home, trace, POLICIES[policy](1)))[1]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 500), st.sampled_from(sorted(TRACES)), st.sampled_from(sorted(POLICIES)))
def test_nobody_answers_sooner_whoever_chooses_on_whatever_fleet(seed: int, trace: str, policy: str) -> None:
    """Disturbed answers apart: they are not of one server."""
    home = drawn(seed)
    home.rate = min(home.rate, 30.0)
    events = TRACES[trace](home, seed, SECONDS)
    least = dict(zip(events.requests, soonest(home, events), strict=True))
    calls = [call for call in calls_of(home, events, policy) if not call.disturbed]
    assert [call for call in calls if call.ended - call.started < least[call.request] - 1e-6] == []


def one_box(server: Server) -> Home:
    box = Box("box", 100.0, 4000.0, 1.0, 0.2, 0.9, [server])
    return Home([box], {"chat:3b": 1.0}, failing=server.name, slow="box", rate=1.0)


def asked_at(home: Home, at: float, *mishaps: Mishap) -> Trace:
    return Trace((Author(home, 5).request(at, "chat:3b", CHATTING),), (), mishaps)


SINGLE, ROUTER, OLLAMA = "llama-server", "llama-server as a router", "Ollama"


def server_of(kind: str) -> Server:
    models = (CHAT, GENERAL)
    servers = {
        SINGLE: Single("one", models[:1], 1, 1.0),
        ROUTER: Router("one", models, 1, 1.0),
        OLLAMA: Ollama("one", models, 1, 1.0),
    }
    return servers[kind]


@pytest.mark.parametrize("kind", [SINGLE, ROUTER, OLLAMA])
@pytest.mark.parametrize(
    "mishaps",
    [(), (Mishap(0.0, 1e4, "box", speed=0.25),), (Mishap(11.0, 12.0, "box", speed=0.5),)],
    ids=["nothing happens", "a slow box", "a box that is slow for a second"],
)
def test_who_is_alone_is_answered_as_soon_as_that(kind: str, mishaps: tuple[Mishap, ...]) -> None:
    trace = asked_at(home := one_box(server_of(kind)), 10.0, *mishaps)
    (call,) = calls_of(one_box(server_of(kind)), trace, "ours")
    assert soonest(home, trace) == [pytest.approx(call.ended - call.started, abs=1e-6)]


def test_nobody_is_served_by_a_server_before_its_fault_is_over() -> None:
    home = one_box(server_of(SINGLE))
    (undisturbed,) = soonest(home, asked_at(home, 10.0))
    (disturbed,) = soonest(home, asked_at(home, 10.0, Mishap(5.0, 40.0, "one", "errors")))
    assert disturbed == pytest.approx(30.0 + undisturbed)


def test_the_row_of_the_bound_is_below_the_one_of_the_oracle() -> None:
    home = drawn(7)
    trace = TRACES["calm"](home, 7, SECONDS)
    bound, oracle = (figures(simulate(drawn(7), trace, policy, 7)) for policy in (BOUND, "oracle"))
    assert bound.requests == oracle.requests
    for figure in ("mean", "p50", "p95", "p99"):
        assert 0.0 < getattr(bound, figure) <= getattr(oracle, figure)
