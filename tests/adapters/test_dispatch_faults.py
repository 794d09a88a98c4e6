"""What goes wrong upstream, and the fault it is: by words, by status, by how the bytes end. No LiteLLM needed."""

import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.adapters.answer import Answer, paired
from zoe_grpcd.adapters.dialects import DIALECTS
from zoe_grpcd.adapters.dialects.refusals import retry_after, said
from zoe_grpcd.adapters.dialects.triton import chunk
from zoe_grpcd.adapters.framing import LONGEST_LINE, Lines
from zoe_grpcd.adapters.reading import Reading
from zoe_grpcd.adapters.thinking import Thinking
from zoe_grpcd.core.answer import Delta, Finish, Measured
from zoe_grpcd.core.errors import Fault

REFUSALS = [
    (
        "llamacpp",
        503,
        '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
        Fault.LOADING,
    ),
    ("llamacpp", 503, '{"error":{"message":"no slot available"}}', Fault.OVERLOADED),
    (
        "llamacpp",
        400,
        (
            '{"error":{"code":400,"message":"request (9009 tokens) exceeds the available context size (4096 tokens),'
            ' try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9009,"n_ctx":4096}}'
        ),
        Fault.CONTEXT_TOO_LONG,
    ),
    ("llamacpp", 400, '{"error":{"message":"model \'nope\' not found"}}', Fault.MODEL_MISSING),
    ("llamacpp", 400, '{"error":{"message":"model is not loaded"}}', Fault.LOAD_FAILED),
    (
        "llamacpp",
        400,
        '{"error":{"message":"Failed to initialize samplers: failed to parse grammar"}}',
        Fault.REJECTED,
    ),
    ("llamacpp", 400, '{"error":{"message":"Failed to load image or audio file"}}', Fault.REJECTED),
    ("llamacpp", 500, '{"error":{"message":"image input is not supported - hint"}}', Fault.REJECTED),
    ("llamacpp", 500, '{"error":{"message":"[json.exception.parse_error.101] parse error"}}', Fault.REJECTED),
    ("llamacpp", 500, '{"error":{"code":500,"message":"Unknown reasoning format: x"}}', Fault.REJECTED),
    ("llamacpp", 401, '{"error":{"message":"Invalid API Key"}}', Fault.UNAUTHORIZED),
    ("llamacpp", 500, '{"error":{"message":"Failed to read connection"}}', Fault.SERVER),
    (
        "ollama",
        503,
        '{"error":"server busy, please try again.  maximum pending requests exceeded"}',
        Fault.OVERLOADED,
    ),
    ("ollama", 404, '{"error":"model \\"nope\\" not found, try pulling it first"}', Fault.MODEL_MISSING),
    (
        "ollama",
        500,
        '{"error":"model requires more system memory (9 GiB) than is available"}',
        Fault.LOAD_FAILED,
    ),
    ("ollama", 500, '{"error":"llama runner process has terminated: exit status 2"}', Fault.LOAD_FAILED),
    ("ollama", 500, '{"error":"option \\"temperature\\" must be of type float32"}', Fault.REJECTED),
    ("ollama", 500, '{"error":"option \\"stop\\" must be of an array of strings"}', Fault.REJECTED),
    ("ollama", 400, '{"error":"registry.ollama.ai/library/m does not support tools"}', Fault.REJECTED),
    ("ollama", 500, '{"error":"failed to process inputs: image: unknown format"}', Fault.REJECTED),
    ("ollama", 500, '{"error":"an error was encountered while running the model"}', Fault.SERVER),
    (
        "llama-cpp-python",
        400,
        (
            '{"error":{"message":"This model\'s maximum context length is 2048 tokens. However, you requested 4009",'
            '"type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}'
        ),
        Fault.CONTEXT_TOO_LONG,
    ),
    (
        "llama-cpp-python",
        500,
        '{"error":{"message":"1 validation error:\\n  {\'type\': \'float_parsing\'","type":"internal_server_error"}}',
        Fault.REJECTED,
    ),
    (
        "llama-cpp-python",
        500,
        '{"error":{"message":"can only concatenate str (not \\"list\\") to str"}}',
        Fault.REJECTED,
    ),
    ("llama-cpp-python", 500, "Internal Server Error", Fault.SERVER),
    ("llama-cpp-python", 401, '{"detail":"Invalid API key"}', Fault.UNAUTHORIZED),
    (
        "vllm",
        503,
        '{"error":{"message":"The engine is currently busy","type":"Service Unavailable","code":503}}',
        Fault.OVERLOADED,
    ),
    (
        "vllm",
        400,
        (
            '{"error":{"message":"This model\'s maximum context length is 2048 tokens. However, your request has at '
            'least 2049 input tokens","type":"BadRequestError","param":"input_tokens","code":400}}'
        ),
        Fault.CONTEXT_TOO_LONG,
    ),
    (
        "vllm",
        404,
        '{"error":{"message":"The model `nope` does not exist. Valid aliases: tiny.","type":"NotFoundError"}}',
        Fault.MODEL_MISSING,
    ),
    ("vllm", 401, '{"error":"Unauthorized"}', Fault.UNAUTHORIZED),
    ("vllm", 500, '{"error":{"message":"EngineCore encountered an issue","code":500}}', Fault.SERVER),
    ("triton", 400, 'data: {"error":"Stub process \'text_0_0\' is not healthy."}', Fault.LOAD_FAILED),
    ("triton", 404, '{"error":"Request for unknown model: \'nope\' is not found"}', Fault.MODEL_MISSING),
    ("triton", 503, '{"error":"Exceeds maximum queue size"}', Fault.OVERLOADED),
    ("triton", 400, '{"error":"made to fail"}', Fault.REJECTED),
    ("openai", 429, '{"error":{"message":"Rate limit reached"}}', Fault.RATE_LIMITED),
    (
        "openai",
        400,
        '{"error":{"message":"too long","code":"context_length_exceeded"}}',
        Fault.CONTEXT_TOO_LONG,
    ),
    ("openai", 404, '{"error":{"message":"no","code":"model_not_found"}}', Fault.MODEL_MISSING),
    ("openai", 422, '{"detail":"no"}', Fault.REJECTED),
    ("openai", 502, "<html>bad gateway</html>", Fault.SERVER),
    ("openai", 301, "", Fault.SERVER),
]


@pytest.mark.parametrize(("kind", "status", "body", "fault"), REFUSALS)
def test_an_answer_other_than_200_is_this_fault(kind: str, status: int, body: str, fault: Fault) -> None:
    error = DIALECTS[kind].refusal(status, body, {})
    assert (error.fault, error.http_status) == (fault, status)
    assert error.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("nan", None), ("inf", None), ("", None)]
    + [(value, 30 * 24 * 3600.0) for value in ("99999999999999999999", "9" * 300)],
)
def test_a_server_may_say_when_to_come_back(value: str, expected: float | None) -> None:
    assert retry_after({"Retry-After": value}) == expected


def test_a_server_may_say_when_to_come_back_by_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = retry_after({"Retry-After": in_a_minute})
    assert found is not None
    assert 50 < found <= 60


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdef123456",
        "Bearer abc.def.ghi",
        "hf_abcdefghijkl",
        "AIzaSyA-1234567890abcdefghij",
        "a" * 16 + "0" * 16,
    ],
)
def test_what_looks_like_a_key_is_not_repeated(secret: str) -> None:
    told = said(f'{{"error": {{"message": "Incorrect key provided: {secret} ."}}}}')
    assert secret not in told
    assert told.startswith("Incorrect key provided")


def test_an_error_text_is_bounded() -> None:
    assert len(said("word " * 10_000)) <= 500


def reading(kind: str) -> Reading:
    def parser() -> Any:
        raise AssertionError("these pieces need no parser")

    return Reading(DIALECTS[kind], parser)


SSE = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
LINE = b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n'

BROKEN = [
    ("llamacpp", SSE, "without a finish reason"),
    ("llamacpp", SSE + b"data: [DONE]\n\n", "without a finish reason"),
    ("llamacpp", SSE + b"proxy error: Failed to read connection", "Failed to read connection"),
    ("llamacpp", SSE + b'data: {"error":{"code":500,"message":"out of memory"}}\n\n', "out of memory"),
    ("llamacpp", SSE + b'error: {"code":500,"message":"out of memory"}\n\n', "out of memory"),
    ("llamacpp", SSE + b"data: {]\n\n", "no JSON"),
    ("llamacpp", SSE + b"data: [1]\n\n", "no object"),
    ("llamacpp", b"", "without a finish reason"),
    ("ollama", LINE, "without a finish reason"),
    ("ollama", LINE + b'{"error":"unexpected EOF"}\n', "unexpected EOF"),
    ("ollama", LINE + b'{"error":"unexpected EOF"}', "unexpected EOF"),
    ("ollama", LINE + LINE[:20], "no JSON"),
]


@pytest.mark.parametrize(("kind", "data", "text"), BROKEN)
def test_an_answer_that_breaks_keeps_what_came_before(kind: str, data: bytes, text: str) -> None:
    broken = reading(kind)
    events = broken.feed(data)
    if broken.error is None:
        events += broken.end()
    assert broken.error is not None
    assert broken.error.fault is Fault.CUT
    assert text in broken.error.message
    assert [e.text for e in events if isinstance(e, Delta)] == (["Hi"] if data else [])


ODD = [
    '"x"',
    "5",
    "-5",
    "[null]",
    "[1]",
    '["x"]',
    "{}",
    '{"a":1}',
    "null",
    "true",
    "1e400",
    "9" * 25,
    '"\\ud83d"',
]
PLACES = [
    ("llamacpp", SSE, b'data: {"choices":%s}\n\n'),
    ("llamacpp", SSE, b'data: {"choices":[%s]}\n\n'),
    ("llamacpp", SSE, b'data: {"choices":[{"delta":%s}]}\n\n'),
    ("llamacpp", SSE, b'data: {"choices":[{"delta":{"content":%s}}]}\n\n'),
    ("llamacpp", SSE, b'data: {"choices":[{"delta":{},"finish_reason":%s}]}\n\n'),
    ("llamacpp", SSE, b'data: {"error":%s}\n\n'),
    ("llamacpp", SSE, b'data: {"error":{"code":%s,"message":%s}}\n\n'),
    ("llamacpp", SSE + END, b'data: {"choices":[],"usage":%s}\n\n'),
    ("llamacpp", SSE + END, b'data: {"choices":[],"usage":{"prompt_tokens":%s,"completion_tokens":%s}}\n\n'),
    ("llamacpp", SSE + END, b'data: {"choices":[],"usage":{"prompt_tokens_details":%s}}\n\n'),
    ("llamacpp", SSE + END, b'data: {"choices":[],"timings":%s}\n\n'),
    (
        "llamacpp",
        SSE + END,
        b'data: {"choices":[],"timings":{"prompt_n":%s,"predicted_n":%s,"cache_n":%s}}\n\n',
    ),
    ("llamacpp", SSE + END, b'data: {"choices":[],"timings":{"prompt_ms":%s,"predicted_ms":%s}}\n\n'),
    ("ollama", LINE, b'{"message":%s,"done":false}\n'),
    ("ollama", LINE, b'{"message":{"content":%s},"done":false}\n'),
    ("ollama", LINE, b'{"message":%s,"done":true}\n'),
    ("ollama", LINE, b'{"done":true,"done_reason":%s}\n'),
    ("ollama", LINE, b'{"done":true,"eval_count":%s,"prompt_eval_count":%s}\n'),
    ("ollama", LINE, b'{"done":true,"eval_duration":%s,"load_duration":%s}\n'),
    ("ollama", LINE, b'{"error":%s}\n'),
    ("triton", b"", b'data: {"text_output":%s}\n\n'),
]


def unreadable(raw: object) -> NoReturn:
    """What LiteLLM's parsers do with such a chunk."""
    raise KeyError(raw)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("kind", "before", "place"), PLACES)
def test_whatever_a_server_puts_anywhere_is_its_mistake_or_read_as_nothing(
    kind: str, before: bytes, place: bytes, odd: str
) -> None:
    answer = Reading(DIALECTS[kind], lambda: chunk if kind == "triton" else unreadable)
    answer.feed(before)
    told = [*answer.feed(place.replace(b"%s", odd.encode())), *(answer.end() if answer.error is None else [])]

    if answer.error is not None:
        assert answer.error.fault is Fault.CUT
        assert answer.error.message.isprintable()
    else:
        finish = told[-1]
        assert isinstance(finish, Finish)
        counts = [finish.measured.prefill_tokens or 0, finish.measured.decode_tokens or 0]
        if (usage := finish.usage) is not None:
            counts += [usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens]
        assert {type(count) for count in counts} == {int}
        assert all(0 <= count < 2**64 for count in counts)
        times = [finish.measured.prefill or 0.0, finish.measured.decode or 0.0, finish.measured.load or 0.0]
        assert {type(time) for time in times} == {float}
        assert all(0 <= time < 1e9 for time in times)


def test_the_words_of_a_server_can_be_shown_and_hold_no_key() -> None:
    answer = reading("llamacpp")
    answer.feed(b"\0\x1b[31m<html>sk-1234567890abcdef</html>\n")

    assert answer.error is not None
    assert answer.error.message == "\ufffd\ufffd[31m<html>[key]</html>"


@pytest.mark.parametrize(
    "told",
    [
        "invalid JSON schema in format",
        "Failed to create new sequence: unable to create sampling context\\n",  # of a schema that is nested too deeply
    ],
)
def test_a_schema_that_ollama_cannot_read_is_the_callers_mistake(told: str) -> None:
    refused = reading("ollama")
    refused.feed(b'{"error":"%s"}\n' % told.encode())

    assert (refused.error and refused.error.fault) == Fault.REJECTED


def test_a_picture_that_ollama_cannot_read_is_the_callers_mistake() -> None:
    refused = reading("ollama")
    refused.feed(b'{"error":"Failed to create new sequence: failed to process inputs: unable to embed"}\n')
    assert refused.error is not None
    assert refused.error.fault is Fault.REJECTED
    assert "unable to embed" in refused.error.message


def test_a_finish_reason_is_enough_of_an_end() -> None:
    answer = reading("llamacpp")
    assert answer.feed(SSE + END) == [Delta("Hi", tokens=1)]
    assert answer.end()
    assert answer.error is None


def test_a_line_that_never_ends_is_given_up() -> None:
    endless = reading("llamacpp")
    for _ in range(LONGEST_LINE // 2**20 + 1):
        endless.feed(b"x" * 2**20)
    assert endless.error is not None
    assert endless.error.fault is Fault.CUT


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_lines_are_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    lines, edges = Lines(), [0, *sorted(min(p, len(data)) for p in places), len(data)]
    found = [line for a, b in itertools.pairwise(edges) for line in lines.feed(data[a:b])]
    assert b"\n".join([*found, *lines.feed(b"\n")]) == data


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.data())
def test_halves_of_a_character_are_joined(text: str, data: Any) -> None:
    units = text.encode("utf-16-le")
    pieces = [units[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), 2)]
    answer, said_so_far = Answer(), ""
    for piece in pieces:
        answer.say(piece)
        if data.draw(st.booleans()):
            said_so_far += "".join(e.text for e in answer.take() if isinstance(e, Delta))
    said_so_far += "".join(e.text for e in answer.end("stop", None, Measured(), "") if isinstance(e, Delta))
    assert said_so_far == text


def test_a_half_that_stays_alone_becomes_a_replacement() -> None:
    assert paired("a\ud83d") == "a\N{REPLACEMENT CHARACTER}"
    answer = Answer()
    answer.say("a\ud83d")
    assert answer.take() == [Delta("a", tokens=1)]
    assert answer.end("stop", None, Measured(), "")[0] == Delta("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>\nHmm.\n</think>\n\nYes.", "Hmm.\n", "Yes."),
        ("\n<think>Hmm", "Hmm", ""),
        ("Yes <think>no</think>", "", "Yes <think>no</think>"),
        ("<thin ice", "", "<thin ice"),
        ("<think></think>Yes", "", "Yes"),
        ("<", "", "<"),
        ("<think>a </thin b</think> c", "a </thin b", "c"),
    ],
)
def test_thoughts_are_told_from_the_answer_at_any_cut(text: str, reasoning: str, answer: str) -> None:
    for size in (1, 2, 3, 5, len(text)):
        thinking = Thinking()
        parts = [thinking.split(text[i : i + size]) for i in range(0, len(text), size)] + [thinking.rest()]
        assert "".join(r for r, _ in parts) == reasoning
        assert "".join(a for _, a in parts) == answer
