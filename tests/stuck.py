"""An Ollama that has lost its only slot, and how it gets it back.

The one rule: called before a test that needs Ollama's answer, never after what the test is about.
"""

from zoe_grpcd.localbackends.servers import Server

PATIENCE = 5.0  # seconds for one token of a tiny model, the load included


def answering(ollama: Server, model: str) -> None:
    """Returns when the model has said a token.

    The runner of Ollama 0.9.3 may lose a slot for good when somebody leaves just as it takes it (seen once in some
    hundred cancelled requests on a busy machine): its probes stay green, and whoever comes waits for ever. Only the end
    of that process frees it; Ollama starts another one for the next request.
    """
    try:
        _say(ollama, model, PATIENCE)
    except TimeoutError:
        ollama.crash_runners()
        _say(ollama, model, 60)


def _say(ollama: Server, model: str, within: float) -> None:
    body = {"model": model, "prompt": "a", "options": {"num_predict": 1}, "stream": False}
    status, text = ollama.request("POST", "/api/generate", body, within=within)
    assert status == 200, text
