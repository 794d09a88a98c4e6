"""What vLLM can do behind the daemon, seen on a real one: its column of the README's table."""

from contextlib import ExitStack
from typing import Any

from faultproxy import FaultProxy
from featuretable import PROMPT, Subject, compare, examined
from serving import entry, serving
from waiting import wait_until

from zoe_grpcd.localbackends.servers import Server


async def test_vllm_does_what_the_table_says(pair: tuple[Server, Server]) -> None:
    sleepy, server = pair
    foreign: dict[str, Any] = {"model": "tiny", "prompt": PROMPT, "max_tokens": 900}
    with ExitStack() as running:
        cut = running.enter_context(FaultProxy(server.port))
        first = {"backend": "vllm-cut", "model": "tiny", "weight": 100_000.0}
        patient = {"first_token_timeout": "90s", "connect_timeout": "10s"}
        daemon = running.enter_context(
            serving(
                backends=[
                    entry("vllm", server, **patient),
                    entry("vllm-cut", server, url=cut.url, **patient),
                    entry("sleepy", sleepy),
                ],
                models=[
                    {
                        "name": "main-vllm",
                        "strategy": "weighted",
                        "deployments": [first, {"backend": "vllm", "model": "tiny"}],
                    }
                ],
                reliability={"cooldown": "100ms"},
            )
        )

        def tells_memory() -> bool:
            sleepy.request("POST", "/sleep?level=1")
            wait_until(lambda: daemon.state("sleepy") == "DOWN", 20)
            told = daemon.backends()["sleepy"].state_detail
            sleepy.request("POST", "/wake_up")
            return "sleeps" in told

        def cold() -> tuple[str, str]:
            sleepy.request("POST", "/sleep?level=1")
            wait_until(lambda: daemon.state("sleepy") == "DOWN", 20)
            return "sleepy", "tiny"

        def ended() -> bool:
            lines = server.request("GET", "/metrics")[1].splitlines()
            return all(
                line.endswith(" 0.0") for line in lines if line.startswith("vllm:num_requests_running")
            )

        subject = Subject(
            "vllm",
            "0.32.0",
            daemon,
            server,
            cut,
            "main-vllm",
            ("/v1/completions", foreign),
            tells_memory,
            ended=ended,
            cold=cold,
        )
        compare("vllm", await examined(subject))
