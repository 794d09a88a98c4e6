"""Intents by meaning, on the real model that the extra carries."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import PROMISED

from zoe_grpcd.adapters import embeddings
from zoe_grpcd.adapters.embeddings import Embeddings, Encoder, Meanings
from zoe_grpcd.core.classify import KeywordClassifier
from zoe_grpcd.core.intents import SHIPPED, configured
from zoe_grpcd.core.meaning import Meaning
from zoe_grpcd.core.reading import Shape


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture(scope="module")
def understanding() -> Iterator[Embeddings]:
    opened = Embeddings(SHIPPED)
    asyncio.run(opened.open())
    yield opened
    opened.close()


async def intent_of(understanding: Embeddings, text: str, **shape: Any) -> str:
    verdict = await understanding(text, Shape(**shape))
    return verdict.intent if verdict else ""


def test_what_means_the_same_is_alike(encoder: Encoder) -> None:
    cat, kitten, tax = encoder.encode(["a cat sleeps on the sofa", "the kitten naps on a couch", "tax law"])
    assert cat @ kitten > 0.6
    assert cat @ tax < 0.3
    assert np.linalg.norm(cat) == pytest.approx(1.0, abs=1e-5)


def test_a_text_has_the_same_vector_alone_and_in_a_batch(encoder: Encoder) -> None:
    texts = ["one", "a text of a few more words", "", "two " * 300, "¿qué tal?"]
    for text, row in zip(texts, encoder.encode(texts), strict=True):
        assert encoder.encode([text])[0] @ row > 0.98, "int8 weights round a batch as one"


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("beethoven, fifth, loudly", "action"),
        ("the little server, does it still tick?", "status"),
        ("some gloomy stanzas, please", "creative"),
        ("abridge the ruling", "summarize"),
        ("recursion in lisp", "code"),
    ],
)
async def test_meaning_is_found_where_keywords_are_not(
    understanding: Embeddings, text: str, intent: str
) -> None:
    assert KeywordClassifier(SHIPPED).classify(text, Shape()).intent != intent
    verdict = await understanding(text, Shape())
    assert verdict is not None
    assert verdict.intent == intent
    assert any("by its meaning" in sign for sign in verdict.signs)


@pytest.mark.parametrize(("text", "shape", "intent"), PROMISED)
async def test_what_is_promised(
    understanding: Embeddings, text: str, shape: dict[str, Any], intent: str
) -> None:
    keywords = KeywordClassifier(SHIPPED).classify(text, Shape(**shape))
    assert (await intent_of(understanding, text, **shape) or keywords.intent) == intent


@pytest.mark.parametrize("shape", [{"has_image": True}, {"has_tools": True}, {"has_context": True}])
async def test_what_a_request_has_is_left_to_the_keywords(
    understanding: Embeddings, shape: dict[str, Any]
) -> None:
    assert await understanding("how does this work?", Shape(**shape)) is None


async def test_other_languages_are_left_to_the_keywords(understanding: Embeddings) -> None:
    assert await understanding("¿Cuál es la mejor época para visitar Granada?", Shape()) is None


async def test_the_event_loop_computes_no_vector(understanding: Embeddings) -> None:
    loops_thread, seen = threading.get_ident(), []
    known = understanding._meanings

    class Watched(Meanings):
        def __init__(self) -> None:
            pass

        def of(self, text: str) -> Meaning:
            seen.append(threading.get_ident())
            assert known is not None
            return known.of(text)

    understanding._meanings = Watched()
    try:
        assert await intent_of(understanding, "please dim the lamp over there a tad")
        assert await intent_of(understanding, "please dim the lamp over there a tad")
    finally:
        understanding._meanings = known
    assert len(seen) == 1, "the second time it is remembered"
    assert loops_thread not in seen


async def test_with_too_many_waiting_keywords_decide(understanding: Embeddings) -> None:
    crowd = [understanding(f"could you bring me {n} chairs", Shape()) for n in range(embeddings.BACKLOG + 8)]
    verdicts = await asyncio.gather(*crowd)
    assert sum(verdict is None for verdict in verdicts) == 8
    assert await understanding("could you bring me a stool", Shape()) is not None, "and then no more"


async def test_only_so_many_verdicts_are_kept(
    understanding: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "CACHED", len(understanding._verdicts) + 1)
    for n in range(3):
        await understanding(f"a chair for {n} people", Shape())
    assert len(understanding._verdicts) == embeddings.CACHED


async def test_before_the_model_is_loaded_keywords_decide() -> None:
    unopened = Embeddings(SHIPPED)
    assert await unopened("turn on the light", Shape()) is None
    unopened.close()


async def test_a_model_that_cannot_be_loaded_is_reported_and_keywords_decide(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"half a download")
    monkeypatch.setattr(embeddings, "_carried", lambda *_: str(broken))
    without = Embeddings(SHIPPED)
    await without.open()
    assert await without("turn on the light", Shape()) is None
    without.close()
    (record,) = caplog.records
    assert "so keywords decide; pip install" in record.getMessage()


async def test_another_one_takes_over_the_model(
    understanding: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = Embeddings(SHIPPED)
    await former.open(understanding)
    monkeypatch.setattr(embeddings, "Encoder", None)  # cannot be loaded again
    running = asyncio.create_task(former("some gloomy stanzas, please", Shape()))
    await asyncio.sleep(0)
    following = Embeddings(configured({"garden": {"examples": ["which roses like shade"]}}))
    await following.open(former)
    former.retire()
    verdict = await running
    assert verdict is not None
    assert verdict.intent == "creative"
    assert await former("a merry sonnet", Shape()) is None
    assert await intent_of(following, "which roses like the shade") == "garden"
    following.close()


async def test_an_operator_adds_an_intent_by_examples() -> None:
    entry = {"examples": ["water the tomatoes", "is the soil in the greenhouse dry?", "when to prune roses"]}
    garden = Embeddings(configured({"garden": entry}))
    await garden.open()
    assert await intent_of(garden, "should the tomato plants get some water") == "garden"
    assert await intent_of(garden, "write a short story about rain") == "creative"
    garden.close()


@pytest.mark.parametrize("text", ["", " ", "\x00", "🙂" * 500, "a" * 100_000, "\n\n?", "[MASK] [CLS] ##"])
async def test_any_text_has_the_same_verdict_twice(understanding: Embeddings, text: str) -> None:
    first = await understanding(text, Shape())
    understanding._verdicts.clear()
    assert await understanding(text, Shape()) == first
