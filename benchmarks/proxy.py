"""The rival over HTTP: LiteLLM Proxy with one worker, set up as its own guide for production says.

It lives in a virtual environment of its own, made once, with the release of LiteLLM that the daemon has: the project
never depends on the proxy's packages.
"""

import contextlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from .processes import Server, environment, free_port, running, wait_for_port
from .upstream import Upstream

VENV = Path(".venv-bench")
# No network for the price map and the like, no reading of a .env file, only errors in the log.
ENVIRONMENT = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "true",
    "LITELLM_OFFLINE_MODE": "true",
    "DISABLE_AIOHTTP_TRUST_ENV": "True",
    "NO_DOCS": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # without a key each request costs it less
}


@contextlib.contextmanager
def proxy(folder: Path, core: int, answers: Upstream) -> Iterator[tuple[Server, str]]:
    """Runs the proxy until the block ends; gives its process and its base URL."""
    program = install()
    config = folder / "proxy.yaml"
    config.write_text(yaml.safe_dump(configuration(answers)))
    port = free_port()
    log = folder / "proxy.log"
    command = [
        str(program),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    with running(command, core, log, ENVIRONMENT) as server:
        wait_for_port(port, server, log)
        yield server, f"http://127.0.0.1:{port}"


def configuration(answers: Upstream) -> dict[str, object]:
    """Returns two models over the static answers; no key, no database, no callback, no retry."""
    return {
        "model_list": [
            {
                "model_name": f"static-{name}",
                "litellm_params": {
                    "model": f"openai/static-{name}",
                    "api_base": f"{url}/v1",
                    "api_key": "none",
                },
            }
            for name, url in (("plain", answers.plain), ("many", answers.many))
        ],
        "litellm_settings": {"set_verbose": False, "num_retries": 0, "request_timeout": 60},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


def install() -> Path:
    """Returns the proxy's program; makes its environment when that is missing or has another release."""
    release = importlib.metadata.version("litellm")
    stamp = VENV / f".litellm-{release}"
    program = VENV / "bin/litellm"
    if not stamp.exists():
        print(f"installing LiteLLM Proxy {release} into {VENV} (a minute or two, once)", file=sys.stderr)
        run(sys.executable, "-m", "venv", "--clear", str(VENV))
        run(str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", f"litellm[proxy]=={release}")
        stamp.touch()
    return program.absolute()


def run(*command: str) -> None:
    """Runs a step of the installation; it has to succeed."""
    subprocess.run(command, check=True, env=environment({}))
