"""What a request is about, found by keywords: examples that must hold, talk about commands, any text at all."""

import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from time import thread_time
from typing import Any

import pytest
from asking import PROMISED
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.core.classify import KeywordClassifier, Shape
from zoe_grpcd.core.intents import SHIPPED, configured
from zoe_grpcd.core.phrases import PhraseBook, words_of, written_out
from zoe_grpcd.core.reading import WINDOW, read

SHIPPED_CLASSIFIER = KeywordClassifier(SHIPPED)
PROMPTS = Path(__file__).parents[1] / "data" / "intents" / "held_back.jsonl"


def labelled(part: str) -> list[dict[str, Any]]:
    text = PROMPTS.with_name(f"{part}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def intent_of(text: str, **shape: object) -> str:
    return SHIPPED_CLASSIFIER.classify(text, Shape(**shape)).intent  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "shape", "intent"), PROMISED)
def test_what_is_promised(text: str, shape: dict[str, object], intent: str) -> None:
    assert intent_of(text, **shape) == intent


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Translate this letter into Dutch", "translate"),
        ("Think step by step: is 97 a prime number?", "reasoning"),
        ("What does the document say about holidays?", "rag"),
        ("I need the kitchen timer canceled", "action"),
        ("What should I call you?", "chat"),
        ("What is 15% of 80?", "reasoning"),
        ("Tell me what osmosis means", "explain"),
        (
            "Is the following true or false: Lima is in Peru. Answer yes or no, and explain in one line of text.",
            "classification",
        ),
        ("Rewrite the sentence below so that it sounds friendlier.", "creative"),
        ("The mill was built by monks. " * 30 + "\nWho built the mill?", "rag"),
    ],
)
def test_examples_of_each_intent(text: str, intent: str) -> None:
    assert intent_of(text) == intent


@pytest.mark.parametrize(
    ("shape", "intent"),
    [
        ({"has_image": True}, "vision"),
        ({"has_tools": True}, "action"),
        ({"has_context": True}, "rag"),
        ({"has_image": True, "has_tools": True, "has_context": True}, "vision"),
    ],
)
def test_the_shape_outranks_the_words(shape: dict[str, object], intent: str) -> None:
    assert intent_of("How does this work?", **shape) == intent


@pytest.mark.parametrize(
    "text",
    [
        "don't schedule anything",
        "Please don't add anything to my calendar",
        "never turn off the lights, said my father",
        "my address book is old",
        'He said "add milk to the list" and left',
        "She told me to add milk to the list",
        "I added milk to the list yesterday",
        "> set an alarm for six\nwhat do you think of this message?",
        "```\nplay music\n```",
        "what is a calendar",
        "why would anyone set an alarm for 4am",
        "how do I add a column in pandas",
        "add a docstring to this function",
    ],
)
def test_talk_about_commands_commands_nothing(text: str) -> None:
    assert intent_of(text) != "action"


PAGE = (
    "The board met on Monday in the old hall, and spoke of the roof, the heating and the summer fair. " * 30
)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        (f"Summarize this:\n{PAGE}", "summarize"),
        (f"{PAGE}\nSummarise the text above.", "summarize"),
        (f"Translate to German:\n{PAGE}", "translate"),
        (f"Extract all names from the text below.\n\n{PAGE}", "rag"),
        (f"{PAGE}\nWhat did the members discuss?", "rag"),
        (f"Rewrite the following in the style of a pirate:\n{PAGE}", "creative"),
        ("why does this fail\n\ndef f(x):\n    return x.foo()\n\nAttributeError: foo", "code"),
        ("```\nSELECT 1\n``` what is wrong here", "code"),
        ("tunr off the ligths", "action"),
        ("ad milk to teh shoping list", "action"),
        ("write a storry abuot a cat", "creative"),
        ("is the sevrer up?", "status"),
        ("and now shorter", "summarize"),
        ("and what about you", "chat"),
        ("I was told to delete my account, is that normal?", "chat"),
        ("Who wrote the code of Hammurabi?", "explain"),
        ("what do pythons eat", "explain"),
        ("write a poem about a python", "creative"),
        ("What are the benefits of walking? Format your answer as JSON.", "explain"),
        ("I'd give The Long Road Home: A Life in Letters two out of five stars", "action"),
        ("Hi there, I have been wondering: why do owls turn their heads?", "explain"),
    ],
)
def test_long_messages_code_slips_of_the_pen_and_follow_ups(text: str, intent: str) -> None:
    assert intent_of(text) == intent


@pytest.mark.parametrize(
    "text",
    [
        "can you add milk to the list?",
        "Could you please turn off the lamp?",
        "Hey Zoe, please remind me to stretch at noon",
        "When I get home, switch on the heating",
        "don't forget to add eggs to the list",
    ],
)
def test_polite_and_late_commands_are_commands(text: str) -> None:
    assert intent_of(text) == "action"


@pytest.mark.parametrize(
    "text",
    [
        "Où puis-je acheter des timbres ?",
        "Wie lange dauert die Fahrt nach Hamburg?",
        "Quanto costa un biglietto per Roma?",
        "Onde posso encontrar uma farmácia?",
        "Waar kan ik een fiets huren?",
        "Gdzie mogę kupić bilet?",
        "Где находится вокзал?",
        "Πού είναι ο σταθμός;",
        "أين تقع المحطة؟",
        "איפה התחנה?",
        "车站在哪里？",
        "駅はどこですか",
        "역이 어디에 있어요?",
        "स्टेशन कहाँ है?",
        "İstasyon nerede?",
        unicodedata.normalize("NFD", "Où est la clé de l'hôtel ?"),
        "Nhà ga ở đâu?",
        "Var ligger stationen och hur kommer jag dit?",
        "buenas noches",
        "bonsoir",
        "was geht ab",
        "ho fame",
        "boa noite",
        "tot ziens",
        "jestem głodny",
        "anlamıyorum",
        "спасибо",
        "谢谢",
    ],
)
def test_other_languages_go_to_a_multilingual_model(text: str) -> None:
    assert intent_of(text) == "multilingual"


@pytest.mark.parametrize(
    "text",
    [
        "play la bamba",
        "I had a crème brûlée at the café",
        "recipe for crème brûlée",
        "who is Jürgen",
        "call José",
        "Who wrote Les Misérables?",
        "weather in Los Gatos",
        "is Die Hard a Christmas movie",
        "c'est la vie, she said",
        "solve α + β = 3",
    ],
)
def test_foreign_words_in_english_leave_it_english(text: str) -> None:
    assert intent_of(text) != "multilingual"


def test_a_verdict_shows_keywords_and_nothing_else_of_the_message() -> None:
    verdict = SHIPPED_CLASSIFIER.classify("add xylophone-secret to my shopping list", Shape())
    assert verdict.signs
    assert "secret" not in " ".join(verdict.signs)
    assert any("'add … to … list'" in sign for sign in verdict.signs)


def test_words_that_say_enough_are_shown_where_there_is_no_sign() -> None:
    signless = [replace(intent, signs={}) for intent in SHIPPED]
    verdict = KeywordClassifier(signless).classify("why do volcanoes erupt, secret?", Shape())
    assert verdict.intent == "explain"
    assert "says 'why'" in verdict.signs
    assert "secret" not in " ".join(verdict.signs)


@pytest.mark.parametrize("part", ["training", "held_back"])
def test_the_labelled_prompts_have_intents_that_ship(part: str) -> None:
    rows = labelled(part)
    assert {row["intent"] for row in rows} <= {intent.name for intent in SHIPPED}


def test_no_prompt_that_measures_was_learned_from() -> None:
    learned = {row["text"].lower().strip(" .?!") for row in labelled("training")}
    assert not learned & {
        row["text"].lower().strip(" .?!") for row in labelled("held_back") if "shape" not in row
    }


def test_of_the_prompts_that_were_held_back_85_percent_are_found() -> None:
    rows = labelled("held_back")
    right = sum(intent_of(row["text"], **row.get("shape", {})) == row["intent"] for row in rows)
    assert right >= 0.85 * len(rows)


def test_a_message_without_any_sign_is_chat() -> None:
    assert intent_of("") == intent_of("?!") == intent_of("zxcv qwer") == "chat"


# ------------------------------------------------------------------------------------------------ any text at all


@given(st.text(), st.builds(Shape, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 10**6)))
def test_any_text_has_the_same_verdict_twice(text: str, shape: Shape) -> None:
    verdict = SHIPPED_CLASSIFIER.classify(text, shape)
    assert verdict == KEYWORDS_AGAIN.classify(text, shape)
    assert verdict.intent in {intent.name for intent in SHIPPED}
    assert 0 <= verdict.confidence <= 1


KEYWORDS_AGAIN = KeywordClassifier(SHIPPED)
VOCABULARY = sorted({word for intent in SHIPPED for sign in intent.signs for word in words_of(sign)})


@given(st.lists(st.sampled_from([*VOCABULARY, '"', "`", "'", "$", "=", "12", "don't"]), max_size=200))
def test_any_mix_of_the_classifiers_own_words_has_a_verdict(words: list[str]) -> None:
    verdict = SHIPPED_CLASSIFIER.classify(" ".join(words), Shape())
    assert verdict.intent in {intent.name for intent in SHIPPED}


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "`",
        "```",
        '"',
        "'a ",
        "> ",
        "$=",
        "what is ",
        "how do you ",
        "\n",
        "1.",
        "é",
        "中",
        "(",
        "İ",
    ],
)
def test_a_megabyte_of_anything_costs_no_more_than_a_page(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert len(read(text, Shape()).visible) <= 3 * WINDOW
    start = thread_time()
    SHIPPED_CLASSIFIER.classify(text, Shape())
    assert thread_time() - start < 0.25


def test_the_seed_of_string_hashes_changes_no_verdict() -> None:
    program = (
        "import json, sys\n"
        "from zoe_grpcd.core.classify import KeywordClassifier, Shape\n"
        "from zoe_grpcd.core.intents import SHIPPED\n"
        "classifier = KeywordClassifier(SHIPPED)\n"
        "for line in sys.stdin: print(classifier.classify(json.loads(line)['text'], Shape()))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            input=PROMPTS.read_text(encoding="utf-8"),
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]


# ------------------------------------------------------------------------------------------------- what operators edit


def test_what_an_operator_states_outweighs_all_words() -> None:
    intents = configured({"lab": {"keywords": ["write .. python function"]}})
    assert KeywordClassifier(intents).classify("write a short Python function", Shape()).intent == "lab"


def test_an_operator_adds_keywords_to_a_shipped_intent() -> None:
    intents = configured({"action": {"keywords": ["grocery run"]}})
    assert KeywordClassifier(intents).classify("a grocery run would be good", Shape()).intent == "action"
    assert KeywordClassifier(intents).classify("turn off the lamp", Shape()).intent == "action"


def test_an_operator_adds_an_intent_with_patterns() -> None:
    intents = configured(
        {"ticket": {"patterns": [r"\bzoe-\d+\b"], "required": ["tools"], "temperature": 0.1}}
    )
    verdict = KeywordClassifier(intents).classify("what is ZOE-123 about?", Shape())
    assert verdict.intent == "ticket"
    assert intents[-1].required == {"tools"}
    assert intents[-1].sampling == {"temperature": 0.1}


def test_an_operator_changes_only_what_is_named() -> None:
    code = next(
        intent
        for intent in configured({"code": {"model": "coder", "system_prompt": "Be terse.", "top_p": 0.9}})
        if intent.name == "code"
    )
    assert (code.model, code.system_prompt, code.favours) == ("coder", "Be terse.", "quality")
    assert code.sampling == {"temperature": 0.0, "top_p": 0.9}
    assert code.signs


def test_a_disabled_intent_is_never_found() -> None:
    intents = configured({"status": {"enabled": False}})
    assert KeywordClassifier(intents).classify("is the service up", Shape()).intent != "status"


@pytest.mark.parametrize(
    ("removed", "text"),
    [
        ("creative", "Write a short story"),
        ("code", "Write a Python function that reverses a list"),
        ("translate", "Translate this into French: good morning"),
        ("status", "is the server up?"),
    ],
)
def test_chat_takes_what_would_be_of_an_intent_that_was_removed(removed: str, text: str) -> None:
    intents = configured({removed: {"enabled": False}})
    assert SHIPPED_CLASSIFIER.classify(text, Shape()).intent == removed
    assert KeywordClassifier(intents).classify(text, Shape()).intent == "chat"


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"code": {"keyword": ["x"]}}, "unknown keyword"),
        ({"chat": {"enabled": False}}, "cannot be disabled"),
        ({"code": {"favours": "speed"}}, "none of latency, quality, context"),
    ],
)
def test_a_wrong_entry_is_refused_with_what_would_be_right(
    entries: dict[str, dict[str, object]], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        configured(entries)


@pytest.mark.parametrize(
    ("keyword", "complaint"),
    [
        ("{devise}", "no class of words"),
        ("@imagee", "no fact"),
        ("the? .. thing", "may not be missing"),
        ("add & ", "at least one word"),
        ("what's|how", "written as 'what is'"),
    ],
)
def test_a_malformed_phrase_is_refused_when_the_classifier_is_built(keyword: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        KeywordClassifier(configured({"code": {"keywords": [keyword]}}))


# ------------------------------------------------------------------------------------------------ notation of phrases


@pytest.mark.parametrize(
    ("phrase", "text", "occurs"),
    [
        ("red car", "a red car", True),
        ("red car", "a car, red", False),
        ("red|blue car", "a blue car", True),
        ("in the? end", "in end", True),
        ("put .. shelf", "put it on the top shelf", True),
        ("put .. shelf", "put one two three four five shelf", False),
        ("put .. shelf", "put it there. the shelf is old", False),
        ("^stop", "please stop", True),
        ("^stop", "they stop", False),
        ("^stop", "when it rains, stop", True),
        ("what is", "what's that", True),
        ("stop", "never stop", False),
        ("stop", "i do not want stop", False),
    ],
)
def test_what_a_phrase_finds(phrase: str, text: str, occurs: bool) -> None:
    assert (phrase in PhraseBook([phrase]).find(written_out(words_of(text)))) is occurs
