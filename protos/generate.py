"""Regenerates the client's stubs from the protos.

The rule: stubs come from the oldest toolchain that current protobuf still promises to run, so that the client
installs next to old and new versions alike. Gencode of major version N runs with protobuf N and N+1; grpcio-tools
1.72.1 is the oldest release with gencode 6 (6.30.0), which makes protobuf 6.30 to 7.x work.

Usage: generate.py [--check]. With --check nothing is written, and a difference fails with its diff.
"""

import argparse
import difflib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOLS = ("grpcio-tools==1.72.1", "mypy-protobuf==5.1.0")
PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
TARGET = ROOT / "clients" / "python" / "src"
TOOLCHAIN = ROOT / ".cache" / ("protoc-" + "-".join(tool.partition("==")[2] for tool in TOOLS))


def main() -> int:
    """Writes the stubs, or compares them; 0 if they are as they should be."""
    parser = argparse.ArgumentParser(description="Regenerate the client's stubs from the protos.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the stubs differ")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        compile_protos(toolchain(), fresh)
        if not check:
            replace_stubs(fresh)
            return 0
        difference = diff(stubs(TARGET), stubs(fresh))
        sys.stdout.writelines(difference)
        if difference:
            print(
                "\nThe stubs do not match the protos: run protos/generate.py and commit the result.",
                file=sys.stderr,
            )
        return 1 if difference else 0


def toolchain() -> Path:
    """Returns the folder with the pinned tools, made on the first run: they conflict with current protobuf."""
    tools = TOOLCHAIN / "bin"
    complete = TOOLCHAIN / "complete"
    if not complete.exists():
        venv.create(TOOLCHAIN, clear=True, with_pip=True)
        subprocess.run([tools / "python", "-m", "pip", "install", "--quiet", *TOOLS], check=True)
        complete.touch()
    return tools


def compile_protos(tools: Path, target: Path) -> None:
    """Runs protoc for messages and services, with type stubs that carry the comments."""
    kinds = {"python": "", "grpc_python": "", "mypy": "quiet:", "mypy_grpc": "quiet:"}
    outputs = [f"--{kind}_out={option}{target}" for kind, option in kinds.items()]
    plugins = [f"--plugin=protoc-gen-{kind}={tools / f'protoc-gen-{kind}'}" for kind in ("mypy", "mypy_grpc")]
    names = sorted(str(proto.relative_to(PROTOS)) for proto in PROTOS.rglob("*.proto"))
    protoc = [str(tools / "python"), "-m", "grpc_tools.protoc", "--proto_path=.", *plugins, *outputs, *names]
    subprocess.run(protoc, check=True, cwd=PROTOS)
    for stub in target.rglob("*_pb2_grpc.py*"):
        if "_service_" not in stub.name:
            stub.unlink()  # protoc writes one for each file, also where there is no service


def stubs(folder: Path) -> dict[str, str]:
    """Returns the text of every generated file by its path."""
    files = (path for pattern in ("*.py", "*.pyi") for path in (folder / "zoe").rglob(pattern))
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def replace_stubs(fresh: Path) -> None:
    """Puts the fresh stubs in place and removes those whose proto is gone."""
    new = stubs(fresh)
    for name in stubs(TARGET).keys() - new.keys():
        (TARGET / name).unlink()
    for name, text in new.items():
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def diff(committed: dict[str, str], fresh: dict[str, str]) -> list[str]:
    """Returns the unified diff of two sets of files; empty if they are the same."""
    lines: list[str] = []
    for name in sorted(committed.keys() | fresh.keys()):
        before, after = (files.get(name, "").splitlines(keepends=True) for files in (committed, fresh))
        lines += difflib.unified_diff(before, after, f"committed/{name}", f"generated/{name}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
