"""Sizes of models from their names, and comparisons as an operator writes them."""

import math

import pytest

from zoe_grpcd.core.sizes import Bounds, called, count_bounds, size_bounds, size_in


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("qwen2.5:3b", 3),
        ("Llama-3-8B-Instruct", 8),
        ("meta-llama/Llama-3.1-70B-Instruct", 70),
        ("mixtral-8x7b", 56),
        ("mixtral:8x22b-instruct-v0.1", 176),
        ("qwen3-30b-a3b", 30),  # the active part is no size
        ("phi3:3.8b", 3.8),
        ("smollm2:135m", 0.135),
        ("gemma3n:e4b", 4),
        ("kimi-k2:1t-cloud", 1000),
        ("model_7b.gguf", 7),
        ("Qwen2.5-7B-Instruct-1M", 7),  # 1M is a window
        ("Qwen2.5-1M-7B", 7),
        ("llama3.2:1b-instruct-q4_K_M", 1),
        ("bert-4bit", None),
        ("gpt-4o", None),
        ("claude-3-5-sonnet-20241022", None),
        ("phi-3-mini-128k", None),
        ("", None),
    ],
)
def test_the_size_that_a_name_tells(name: str, size: float | None) -> None:
    assert size_in(name) == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("< 8B", [7, 7.62, 7.9], [8, 8.03, 13]),
        ("<= 8B", [7, 8, 8.03], [8.1, 13]),
        ("> 13B", [13.1, 14, 14.8, math.inf], [7, 13, 13.02]),
        (">= 7B", [6.98, 7, 8], [3, 6.9]),
        ("8B - 13B", [8, 8.03, 12, 13, 13.02], [7, 7.9, 13.1, 14]),
        ("8B-13B", [8], [7]),
        ("=7B", [6.98, 7, 7.02], [6, 7.1, 8]),
        ("7B", [7], [8]),
        ("< 500M", [0.135], [0.5, 1]),
    ],
)
def test_sizes_with_what_a_real_model_has_more_or_less(
    text: str, inside: list[float], outside: list[float]
) -> None:
    bounds = size_bounds(text)
    assert [size for size in inside if size not in bounds] == []
    assert [size for size in outside if size in bounds] == []


@pytest.mark.parametrize("size", [0.5, 7, 7.62, 7.9, 7.97, 8, 8.03, 8.2, 10, 13, 13.02, 13.1, 14, 70])
def test_the_three_sizes_of_the_example_leave_no_gap(size: float) -> None:
    assert any(size in size_bounds(text) for text in ("< 8B", "8B - 13B", "> 13B"))


@pytest.mark.parametrize(
    ("told", "names", "size"),
    [
        (6.74, ["llama-2-7b-chat"], 7),
        (8.03, ["some.gguf", "llama3.1:8b"], 8),
        (13.02, ["vicuna-13b"], 13),
        (70.55, ["llama3.3:70b"], 70),
        (7.62, ["qwen2.5:7b"], 7.62),
        (46.7, ["mixtral:8x7b"], 46.7),
        (13.02, ["vicuna"], 13.02),
        (8.03, [], 8.03),
    ],
)
def test_a_model_is_as_large_as_its_name_says_if_it_is_nearly_that(
    told: float, names: list[str], size: float
) -> None:
    assert called(told, *names) == size


def test_counts_are_exact() -> None:
    assert count_bounds("> 4000") == Bounds(low=4000, above=True)
    assert count_bounds("8") == Bounds(8, 8)
    assert [n for n in (1, 2, 8, 9) if n in count_bounds("2 - 8")] == [2, 8]


@pytest.mark.parametrize("text", ["< 8", "8", "big", "", "< 8GB", "8B - ", "8B - 13", "< -1B", "<> 8B"])
def test_a_size_needs_its_unit(text: str) -> None:
    with pytest.raises(ValueError, match="must be a comparison of sizes"):
        size_bounds(text)


@pytest.mark.parametrize("text", ["> 8B", "many", "", "> 1e9"])
def test_a_count_has_none(text: str) -> None:
    with pytest.raises(ValueError, match="must be a comparison like"):
        count_bounds(text)


def test_a_range_begins_with_the_smaller_one() -> None:
    with pytest.raises(ValueError, match="smaller"):
        size_bounds("13B - 8B")
