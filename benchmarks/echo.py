"""The rival over gRPC, and the ceiling: grpc.aio alone, without a router behind it.

It parses the same RouteRequest, answers with one fixed RouteResponse, which it encodes anew each time, and does nothing
else: no deadline, no check, no error handling. Its event loop is the daemon's.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc

from zoe.inference.v1 import decision_pb2
from zoe.inference.v1.inference_service_pb2 import RouteRequest, RouteResponse

from .processes import Server, free_port, running, wait_for_port

SERVICE = "zoe.inference.v1.InferenceService"


@contextlib.contextmanager
def echo(folder: Path, core: int) -> Iterator[tuple[Server, int]]:
    """Runs the echo server until the block ends; gives its process and its port."""
    port = free_port()
    log = folder / "echo.log"
    with running([sys.executable, "-m", "benchmarks.echo", str(port)], core, log) as server:
        wait_for_port(port, server, log)
        yield server, port


async def serve(port: int) -> None:
    """Serves `Route` on a loopback port until the process is ended."""
    backend = decision_pb2.BackendRef(
        backend="static-single", model="static-single", kind="llamacpp", local=True
    )
    decision = decision_pb2.RouteDecision(decision_id="0123456789abcdef0123456789abcdef", chosen=backend)
    answer = RouteResponse(decision=decision)

    async def route(_request: RouteRequest, _context: object) -> RouteResponse:
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        route,
        request_deserializer=RouteRequest.FromString,
        response_serializer=RouteResponse.SerializeToString,
    )
    server = grpc.aio.server()
    # Generic handlers, as the daemon has: grpcio 1.85 serves registered methods by a slower loop.
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Route": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    """Serves on the port that the command line names, on uvloop if that is installed, as the daemon does."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(int(sys.argv[1])))
    else:
        uvloop.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
