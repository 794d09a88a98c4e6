"""Regenerates the Node client's messages from the protos, and from the public ones that it needs besides.

The rule: TypeScript with descriptors inside, by the generator that the client's package-lock.json pins.

Usage: generate_node.py [--check]. With --check nothing is written, and a difference fails with its diff. Where there is
no Node nothing is compared, except with CI=true, where that is a failure.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from generate import PROTOS, ROOT, diff, toolchain
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

CLIENT = ROOT / "clients" / "node"
TARGET = CLIENT / "src" / "gen"
PLUGIN = CLIENT / "node_modules" / ".bin" / "protoc-gen-es"
PUBLIC = (error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR)


def main() -> int:
    """Writes the messages, or compares them; 0 if they are as they should be."""
    parser = argparse.ArgumentParser(description="Regenerate the Node client's messages from the protos.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if they differ")
    check = parser.parse_args().check
    if not PLUGIN.exists():
        print(
            "the Node client's messages can't be made: there is no Node with npm, or `make install` has not run"
        )
        return 1 if os.environ.get("CI") == "true" or not check else 0
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        compile_protos(fresh)
        difference = diff(messages(TARGET), messages(fresh))
        if not check:
            replace_messages(fresh)
            return 0
    sys.stdout.writelines(difference)
    if difference:
        print(
            "\nThe messages do not match the protos: run `make proto` and commit the result.", file=sys.stderr
        )
    return 1 if difference else 0


def compile_protos(target: Path) -> None:
    """Runs protoc for our protos and the public ones, which come as descriptors with their Python packages."""
    given = FileDescriptorSet()
    for descriptor in PUBLIC:
        add(descriptor, given)
    described = target / "public.pb"
    described.write_bytes(given.SerializeToString())
    names = sorted(str(proto.relative_to(PROTOS)) for proto in PROTOS.rglob("*.proto"))
    protoc = [str(toolchain() / "python"), "-m", "grpc_tools.protoc", "--proto_path=."]
    output = [
        f"--plugin=protoc-gen-es={PLUGIN}",
        f"--es_out={target}",
        "--es_opt=target=ts,import_extension=js",
    ]
    subprocess.run([*protoc, *output, *names], check=True, cwd=PROTOS)
    public = [f"--descriptor_set_in={described}", *(each.name for each in PUBLIC)]
    subprocess.run([*protoc[:-1], *output, *public], check=True, cwd=PROTOS)


def add(descriptor: FileDescriptor, given: FileDescriptorSet) -> None:
    """Adds a file after those that it imports, each once."""
    for needed in descriptor.dependencies:
        add(needed, given)
    if descriptor.name not in {file.name for file in given.file}:
        descriptor.CopyToProto(given.file.add())


def messages(folder: Path) -> dict[str, str]:
    """Returns the text of every generated file by its path."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*_pb.ts")}


def replace_messages(fresh: Path) -> None:
    """Puts the fresh files in place and removes those whose proto is gone."""
    new = messages(fresh)
    for name in messages(TARGET).keys() - new.keys():
        (TARGET / name).unlink()
    for name, text in new.items():
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
