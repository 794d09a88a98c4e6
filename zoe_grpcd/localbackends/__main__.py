"""`python -m zoe_grpcd.localbackends`: puts llama-server and Ollama in place and says where; --versions runs them.

--install puts the servers of the tests in place that take minutes: llama-cpp-python, triton, vllm.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from .fetch import BackendUnavailable, Tools, find_tools
from .llamacpppython import find_llama_cpp_python
from .triton import find_triton
from .vllm import find_vllm

FURTHER: Mapping[str, Callable[[], Path]] = {
    "llama-cpp-python": find_llama_cpp_python,
    "triton": find_triton,
    "vllm": find_vllm,
}


def main() -> int:
    """Returns 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m zoe_grpcd.localbackends")
    parser.add_argument("--install", nargs="+", choices=sorted(FURTHER), default=[], metavar="SERVER")
    parser.add_argument("--versions", action="store_true")
    asked = parser.parse_args()
    try:
        if asked.install:
            print("\n".join(f"{name}: {FURTHER[name]()}" for name in asked.install))
        elif asked.versions:
            print(_versions(find_tools()))
        else:
            tools = find_tools()
            print(f"llama-server: {tools.llama_server}\nollama: {tools.ollama}")
    except BackendUnavailable as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


def _versions(tools: Tools) -> str:
    env = {**os.environ, **({"LD_LIBRARY_PATH": str(tools.library_path)} if tools.library_path else {})}
    return "\n".join(
        subprocess.run(
            [program, "--version"], env=env, check=True, text=True, stdout=-1, stderr=-2
        ).stdout.strip()
        for program in (tools.llama_server, tools.ollama)
    )


if __name__ == "__main__":
    sys.exit(main())
