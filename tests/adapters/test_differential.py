"""Both ways through LiteLLM make the same answer of the same bytes, however the network cuts them."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest
from dispatching import Heard, Playback, call, hear, playing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.litellm_full import FullDispatcher
from zoe_grpcd.adapters.litellm_provider import Provider
from zoe_grpcd.adapters.litellm_transform import TransformDispatcher, open_session
from zoe_grpcd.adapters.reading import Reading
from zoe_grpcd.adapters.triton import TritonProvider
from zoe_grpcd.core.answer import FinishReason
from zoe_grpcd.core.generation import Generation

# LiteLLM's own use of pydantic draws these; in a test they would be errors inside it
pytestmark = [
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

RECORDINGS = sorted((Path(__file__).parent / "recordings").iterdir())
ASKED = Generation(({"role": "user", "content": "Say something."},), options={"top_logprobs": 2})
ASKED_PLAINLY = Generation(({"role": "user", "content": "Say something."},))

EXPECTED = {  # name -> text, tool calls, finish: what a person reads in the file
    "openai-parallel-tools": ("", [["look", '{"at":"Zürich"}'], ["look", '{"at": "Łódź"}']], "TOOL_CALLS"),
    "openai-whole-tools": ("Let me look.", [["f", "{}"], ["g", '{"x":1}']], "TOOL_CALLS"),
    "openai-unicode": ("Grüße 👩‍👩‍👧 – 日本語\u2028", [], "STOP"),
    "openai-filtered": ("I will", [], "CONTENT_FILTER"),
    "openai-no-usage": ("Yes.", [], "STOP"),
    "openai-usage-in-each": ("Yes.", [], "STOP"),
    "openai-crlf": ("ab", [], "STOP"),
    "openai-reasoning": ("Yes", [], "STOP"),
    "ollama-unicode": ("Grüße 👩‍👩‍👧 – 日本語", [], "STOP"),
    "llamacpp-tools": ("", [["get_weather", '{"city": "Paris"}']], "TOOL_CALLS"),
    "ollama-tools": ("", [["get_weather", '{"city": "Paris"}']], "TOOL_CALLS"),
}


def kind_of(recording: Path) -> str:
    return max((kind for kind in DIALECTS if recording.name.startswith(f"{kind}-")), key=len)


def read(recording: Path, pieces: list[bytes], *, by_litellm: bool = False) -> Heard:
    dialect = DIALECTS[kind_of(recording)]
    provider = (TritonProvider if dialect.provider == "triton" else Provider)(dialect)
    asked = call(kind_of(recording), "http://host", ASKED)
    reading = Reading(dialect, lambda: provider.parser(asked), 2)
    if by_litellm:
        reading._parse = provider.parser(asked)
    heard = Heard()
    for piece in pieces:
        heard.add(reading.feed(piece))
        if reading.over:
            break
    heard.add(reading.end())
    assert reading.error is None
    return heard


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(p % len(data) for p in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if b > a]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.stem)
def test_the_bytes_may_be_cut_anywhere(recording: Path, loaded: object) -> None:
    data = recording.read_bytes()
    whole = read(recording, [data])

    @given(st.lists(st.integers(min_value=0, max_value=len(data) - 1), max_size=30))
    @settings(max_examples=25, deadline=None, derandomize=True)
    def check(places: list[int]) -> None:
        heard = read(recording, cut(data, places))
        assert heard.said == whole.said
        assert (heard.tokens, heard.logprobs) == (whole.tokens, whole.logprobs)

    check()
    one_by_one = read(recording, [data[i : i + 1] for i in range(len(data))])
    assert one_by_one.said == whole.said


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.stem)
def test_pieces_that_skip_the_parser_are_what_it_would_have_made_of_them(
    recording: Path, loaded: object
) -> None:
    data = recording.read_bytes()
    fast, slow = read(recording, [data]), read(recording, [data], by_litellm=True)
    assert fast.said == slow.said
    assert fast.tokens == slow.tokens


def test_tokens_that_came_in_one_piece_are_counted_as_many(loaded: object) -> None:
    recording = next(r for r in RECORDINGS if r.stem == "vllm-several-tokens")
    heard = read(recording, [recording.read_bytes()])
    assert heard.finish.usage is not None
    assert heard.tokens == heard.finish.usage.completion_tokens == 36
    assert len(recording.read_text().split('"content":" ')) - 1 == 35, "pieces"


@pytest.mark.parametrize(
    ("counts", "tokens", "usage"),
    [
        ((2, 7), 7, 7),
        ((2, 2), 3, 2),  # a piece is one at least
        ((2, 1), 3, 1),
        ((None, 5), 6, 5),
        ((True, 5), 6, 5),
        ((2, 10**12), 3, 10**12),  # no count of anything
    ],
)
def test_what_is_counted_on_the_way_will_do_where_nothing_is_told_in_the_end(
    counts: tuple[object, ...], tokens: int, usage: int, loaded: object
) -> None:
    reading = Reading(
        DIALECTS["vllm"], lambda: Provider(DIALECTS["vllm"]).parser(call("vllm", "http://host"))
    )
    heard = Heard()
    for count in counts:
        chunk = {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {"completion_tokens": count}}
        heard.add(reading.feed(f"data: {json.dumps(chunk)}\n\n".encode()))
    heard.add(reading.feed(b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'))
    heard.add(reading.end())
    assert heard.finish.usage is not None
    assert (heard.tokens, heard.finish.usage.completion_tokens) == (tokens, usage)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.stem)
def test_both_dispatchers_give_the_same_answer(recording: Path, loaded: object) -> None:
    data, kind = recording.read_bytes(), kind_of(recording)
    generation = (
        ASKED if "logprobs" in DIALECTS[kind].refuses or "logprobs" in recording.stem else ASKED_PLAINLY
    )

    async def both(places: list[int]) -> tuple[Heard, Heard]:
        full = FullDispatcher()
        async with playing(Playback(data, places)) as server, open_session() as session:
            asked = call(kind, server.url, generation)
            try:
                direct = await hear(TransformDispatcher(session, DIALECTS[kind]), asked)
                other = await hear(full, asked)
                assert len(server.paths) == 2, "LiteLLM asked for something on its own"
                return direct, other
            finally:
                await full.close()

    with asyncio.Runner() as runner:

        @given(st.lists(st.integers(min_value=0, max_value=len(data) - 1), max_size=8))
        @settings(
            max_examples=4,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        def check(places: list[int]) -> None:
            direct, full = runner.run(both(places))
            assert direct.said == full.said
            assert direct.logprobs == full.logprobs
            if recording.stem in EXPECTED:
                text, tools, reason = EXPECTED[recording.stem]
                assert (direct.text, list(direct.tools.values())) == (text, tools)
                assert direct.finish.reason is FinishReason(reason)

        check()


def test_calls_made_at_once_have_places_and_ids_of_their_own(loaded: object) -> None:
    recording = next(r for r in RECORDINGS if r.stem == "ollama-parallel-tools")
    heard = read(recording, [recording.read_bytes()])
    assert list(heard.tools) == [0, 1, 2, 3]
    assert [name for name, _ in heard.tools.values()] == ["look", "look", "now", "look"]
    assert heard.tools[2] == ["now", "{}"]
    assert len(set(heard.ids)) == 4
    assert heard.done == [0, 1, 2, 3]
    assert heard.finish.reason is FinishReason.TOOL_CALLS
