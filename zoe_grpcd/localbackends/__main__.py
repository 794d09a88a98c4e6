"""`python -m zoe_grpcd.localbackends`: puts llama-server and Ollama in place and says where; --versions runs them."""

import os
import subprocess
import sys

from .fetch import BackendUnavailable, Tools, find_tools


def main() -> int:
    """Returns 0, or 1 with the reason on stderr."""
    try:
        tools = find_tools()
    except BackendUnavailable as missing:
        print(missing, file=sys.stderr)
        return 1
    if "--versions" in sys.argv[1:]:
        print(_versions(tools))
    else:
        print(f"llama-server: {tools.llama_server}\nollama: {tools.ollama}")
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
