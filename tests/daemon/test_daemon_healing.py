"""An Ollama that has lost its only slot for good gets it back, though nobody but the daemon knows that it has."""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Daemon, entry
from waiting import LONG, eventually

from zoe_client import AsyncClient, BackendTimeout, DeadlineExceeded, Unavailable, ZoeError
from zoe_grpcd.localbackends.servers import Server

MODEL = "endless:1b"
Serve = Callable[..., Daemon]


@contextlib.contextmanager
def slot_lost(ollama: Server) -> Iterator[None]:
    """Its runner works for somebody of whom Ollama knows nothing, and never ends.

    So it looks when Ollama 0.9.3 has lost a slot: the model is listed as loaded, its runner is well, nobody is counted
    there, and whoever comes waits for ever.
    """
    [runner] = ollama.runners()
    argv = Path(f"/proc/{runner}/cmdline").read_text().split("\0")
    port = int(argv[argv.index("--port") + 1])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)) as connection:
        endless = {"prompt": "a", "options": {"num_predict": -1}}
        connection.request("POST", "/completion", json.dumps(endless), {"Content-Type": "application/json"})
        assert connection.getresponse().read(1)
        yield


async def _said(client: AsyncClient) -> str:
    """An answer; nothing if there was none."""
    with contextlib.suppress(Unavailable):
        return (await client.complete("hello", model=MODEL, max_output_tokens=3)).text
    return ""


@pytest.mark.parametrize(("patience", "refusal"), [(None, BackendTimeout), (1.5, DeadlineExceeded)])
async def test_a_model_that_answers_nobody_is_unloaded_and_answers_again(
    serve: Serve, ollama_server: Any, endless_gguf: Path, patience: float | None, refusal: type[ZoeError]
) -> None:
    """Nobody has to wait for as long as a silence is: those who leave before are followed by the daemon itself."""
    ollama: Server = ollama_server({MODEL: endless_gguf})
    body = {"model": MODEL, "prompt": "a", "options": {"num_predict": 1}, "stream": False}
    assert ollama.request("POST", "/api/generate", body)[0] == 200
    [before], told = ollama.runners(), "since it had stopped answering"
    daemon = serve(backends=[entry("ollama", ollama, first_token_timeout="2s")])
    with slot_lost(ollama):
        async with daemon.aclient() as client:
            for _ in range(2):
                with pytest.raises(refusal):
                    await client.complete("hello", model=MODEL, timeout=patience)
            await eventually(lambda: told in daemon.backends()["ollama"].state_detail, 3 * LONG)
            await eventually(lambda: before not in ollama.runners())  # which is answered before it is done
            assert await eventually(lambda: _said(client))
    assert f"{MODEL} @ ollama had stopped answering, and was unloaded" in daemon.log
