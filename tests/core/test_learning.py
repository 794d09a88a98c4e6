"""What one attempt teaches about a deployment."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.answer import Measured, Usage
from zoe_grpcd.core.learning import Learned, Lesson, load_prior

PLAIN = Lesson(failed=False, duration=3.0, first_token=1.0, output_tokens=101, whole=True)


def facts(learned: Learned) -> dict[str, float]:
    names = (
        "bytes_per_token",
        "image_tokens",
        "load",
        "output_tokens",
        "overhead",
        "prefill",
        "success",
        "token",
    )
    return {name: getattr(learned, name).weight for name in names}


def taught(**fields: Any) -> Learned:
    learned = Learned()
    learned.learn(replace(PLAIN, **fields), 0.0)
    return learned


def weights(**fields: Any) -> set[str]:
    """What this lesson said something about."""
    return {name for name, weight in facts(taught(**fields)).items() if weight}


PROMPT = Usage(prompt_tokens=104, completion_tokens=101)
MEASURED = Measured(prefill=0.5, prefill_tokens=100, decode=1.0, decode_tokens=100)


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({}, {"token", "overhead", "output_tokens"}),
        ({"failed": True}, set()),
        ({"first_token": None}, set()),
        ({"whole": False}, {"token", "overhead"}),  # cut by a limit: no length of an answer
        ({"output_tokens": 3}, {"overhead", "output_tokens"}),  # too few for a rate
        ({"usage": PROMPT, "prompt_bytes": 400}, {"token", "overhead", "output_tokens", "bytes_per_token"}),
        (
            {"usage": PROMPT, "prompt_bytes": 40, "images": 1},  # how many of the tokens are text is a guess
            {"token", "overhead", "output_tokens", "image_tokens"},
        ),
        (
            {"usage": PROMPT, "prompt_bytes": 400, "images": 1},  # so much text tells nothing of a picture
            {"token", "overhead", "output_tokens"},
        ),
        ({"usage": replace(PROMPT, estimated=True)}, {"token", "overhead", "output_tokens"}),
        ({"usage": Usage(prompt_tokens=9)}, {"token", "overhead", "output_tokens"}),
        ({"measured": MEASURED}, {"token", "overhead", "output_tokens", "prefill"}),
        (
            {"measured": replace(MEASURED, prefill_tokens=5)},  # the rest came from a cache: no rate
            {"token", "overhead", "output_tokens"},
        ),
        (
            {"measured": replace(MEASURED, prefill_tokens=None), "usage": PROMPT, "prompt_bytes": 400},
            {
                "token",
                "overhead",
                "output_tokens",
                "bytes_per_token",
                "prefill",
            },  # Ollama: the whole prompt counts
        ),
        ({"waited": True}, {"token", "output_tokens"}),  # the wait is in the time to the first token
        ({"cold": True}, {"token", "output_tokens", "load"}),
        ({"cold": True, "waited": True}, {"token", "output_tokens"}),
        ({"cold": True, "measured": Measured(load=7.0)}, {"token", "output_tokens", "load"}),
        ({"measured": Measured(load=7.0)}, {"token", "output_tokens", "load"}),
        ({"measured": Measured(load=0.003)}, {"token", "output_tokens", "overhead"}),  # warm, says Ollama
        ({"cold": True, "measured": Measured(load=0.003)}, {"token", "output_tokens"}),
    ],
)
def test_each_lesson_teaches_what_it_can(fields: dict[str, Any], about: set[str]) -> None:
    assert weights(**fields) == about | {"success"}


def after_many(**fields: Any) -> Learned:
    """Enough of the same that no prior is left."""
    learned = Learned()
    for _ in range(200):
        learned.learn(replace(PLAIN, **fields), 0.0)
    return learned


def test_the_rate_of_decoding_is_what_follows_the_first_token() -> None:
    assert after_many().token.value == pytest.approx(2.0 / 100, rel=0.01)
    assert after_many(slowdown=2.0).token.value == pytest.approx(1.0 / 100, rel=0.01)
    assert after_many(measured=MEASURED).token.value == pytest.approx(1.0 / 100, rel=0.01)


def test_the_length_of_a_token_is_that_of_the_text_alone() -> None:
    learned = after_many(usage=PROMPT, prompt_bytes=400, fixed_tokens=4)
    assert learned.bytes_per_token.value == pytest.approx(4.0, rel=0.01)


def test_short_prompts_which_are_mostly_their_template_say_little_of_the_length_of_a_token() -> None:
    learned = Learned()
    for _ in range(10):
        learned.learn(replace(PLAIN, usage=Usage(prompt_tokens=4 + 20), prompt_bytes=30, fixed_tokens=4), 0.0)
    learned.learn(replace(PLAIN, usage=Usage(prompt_tokens=4 + 1500), prompt_bytes=6000, fixed_tokens=4), 0.0)
    assert learned.bytes_per_token.value == pytest.approx(4.0, rel=0.1)


def test_the_tokens_of_a_picture_are_what_is_left_of_the_prompt() -> None:
    counted = Usage(prompt_tokens=4 + 100 + 2 * 256)
    learned = after_many(usage=counted, prompt_bytes=360, fixed_tokens=4, images=2)
    assert learned.image_tokens.value == pytest.approx(256, rel=0.01)
    assert taught(usage=counted, prompt_bytes=360, fixed_tokens=4, images=2).image_tokens.value < 300


@pytest.mark.parametrize(("counted", "bound"), [(0, 600), (1, 600), (10_000_000, 20_000)])
def test_an_absurd_count_of_pictures_does_no_harm(counted: int, bound: int) -> None:
    learned = after_many(usage=Usage(prompt_tokens=counted), fixed_tokens=4, images=1)
    assert learned.image_tokens.value == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize(("prompt_bytes", "bound"), [(1_000_000, 12.0), (1, 1.0)])
def test_an_absurd_count_of_tokens_does_no_harm(prompt_bytes: int, bound: float) -> None:
    learned = after_many(usage=PROMPT, prompt_bytes=prompt_bytes)
    assert learned.bytes_per_token.value == pytest.approx(bound, rel=0.01)


def test_a_load_is_what_is_left_of_the_time_to_the_first_token() -> None:
    learned = after_many(cold=True, first_token=9.0, duration=11.0)
    assert learned.load.value == pytest.approx(9.0 - 0.03, rel=0.01)
    assert after_many(measured=Measured(load=4.0), cold=True).load.value == pytest.approx(4.0, rel=0.01)


def test_the_fixed_cost_of_a_request_is_bounded() -> None:
    assert after_many(first_token=100.0, duration=102.0).overhead.value == pytest.approx(5.0, rel=0.01)


def test_the_share_of_failures() -> None:
    learned = Learned()
    for failed in (True, False, True, False):
        learned.learn(replace(PLAIN, failed=failed), 0.0)
    assert learned.success.value == pytest.approx((2 + 2) / (2 + 4))


@pytest.mark.parametrize(
    ("parameters", "token", "prefill"), [(None, 0.022, 0.0009), (7.0, 0.05, 0.0021), (0.5, 0.0045, 0.00015)]
)
def test_what_is_assumed_of_a_size(parameters: float | None, token: float, prefill: float) -> None:
    learned = Learned(parameters=parameters)
    assert learned.token.value == pytest.approx(token)
    assert learned.prefill.value == pytest.approx(prefill)


@pytest.mark.parametrize(("size", "seconds"), [(0, 5.0), (400_000_000, 1.5), (4_000_000_000, 10.5)])
def test_what_is_assumed_of_a_load(size: int, seconds: float) -> None:
    assert load_prior(size) == pytest.approx(seconds)
    assert Learned(size).load.value == pytest.approx(seconds)


def test_better_facts_keep_what_was_learned() -> None:
    learned = after_many()
    learned.assume(4_000_000_000, 70.0)
    assert learned.token.value == pytest.approx(0.02, rel=0.1)
    assert learned.load.value == pytest.approx(10.5)


MAYBE = st.none() | st.floats(0, 1e4)
COUNT = st.none() | st.integers(0, 100_000)


@given(
    st.builds(
        Lesson,
        st.booleans(),
        st.floats(0, 1e4),
        MAYBE,
        st.integers(0, 100_000),
        st.booleans(),
        st.none() | st.builds(Usage, st.integers(0, 100_000), st.integers(0, 100_000)),
        st.builds(Measured, MAYBE, MAYBE, COUNT, MAYBE, COUNT),
        st.integers(0, 1_000_000),
        st.integers(0, 10_000),
        st.booleans(),
        st.booleans(),
        st.floats(1, 10),
    )
)
def test_no_lesson_makes_an_estimate_impossible(lesson: Lesson) -> None:
    learned = Learned()
    for _ in range(3):
        learned.learn(lesson, 0.0)
    assert 0 <= learned.success.value <= 1
    assert learned.token.value > 0
    assert 1 <= learned.bytes_per_token.value <= 12
    assert 0 <= learned.overhead.value <= 5
    assert min(learned.load.value, learned.prefill.value, learned.output_tokens.value) >= 0


def test_a_prompt_that_ollama_had_cached_is_not_taken_for_a_fast_one() -> None:
    read = replace(PLAIN, usage=PROMPT, measured=Measured(prefill=0.52))
    learned = Learned()
    for now in range(20):
        learned.learn(read, float(now))
    learned.learn(replace(read, measured=Measured(prefill=0.01)), 21.0)
    assert learned.prefill.value == pytest.approx(0.005, rel=0.1)
    learned.learn(replace(read, measured=Measured(prefill=0.3)), 22.0)  # faster, but read
    assert learned.prefill.value < 0.0049
