"""Requests whose intent is promised, whatever the classifier: text, shape, intent."""

from typing import Any

DOCUMENT = (
    "The harbour was extended in spring, and the town council met four times to discuss the costs. " * 430
)

PROMISED: tuple[tuple[str, dict[str, Any], str], ...] = (
    # What a small fleet's operator sends where: the tenth of these names its model, and needs no intent.
    ("write a Python function", {}, "code"),
    ("is the service up", {}, "status"),
    (f"Summarise this document: {DOCUMENT}", {"prompt_tokens": 10_000}, "summarize"),
    ("¿Cuál es la mejor época para visitar Granada?", {}, "multilingual"),
    ("write a short story", {}, "creative"),
    ("classify this", {}, "classification"),
    ("When does the lease end?", {"has_context": True}, "rag"),
    ("And what do you think about that?", {}, "chat"),
    ("explain machine learning", {}, "explain"),
    # A home assistant.
    ("Hey Zoe, how are you?", {}, "chat"),
    ("Add bread to my shopping list", {}, "action"),
    ("What do you remember about me?", {}, "memory"),
    ("What is this?", {"has_image": True}, "vision"),
)
