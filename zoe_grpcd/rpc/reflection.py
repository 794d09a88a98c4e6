"""gRPC server reflection, so that tools like grpcurl work without the protos. Reveals the protos and nothing else."""

from collections.abc import Iterable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.reflection import ReflectionServicer

# v1 has the messages of v1alpha under another package name, so one servicer answers for both
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
SERVICES = ("grpc.reflection.v1.ServerReflection", V1ALPHA)


def handlers(services: Iterable[str]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Reflection over these services, as generic handlers."""
    servicer = ReflectionServicer([*services, V1ALPHA])  # v1 has no file to show here, so it is not listed

    async def info(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        async for request in requests:
            for response in servicer.ServerReflectionInfo(iter((request,)), context):
                await context.write(response)

    method = grpc.stream_stream_rpc_method_handler(
        info,
        request_deserializer=pb.ServerReflectionRequest.FromString,
        response_serializer=pb.ServerReflectionResponse.SerializeToString,
    )
    return tuple(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in SERVICES
    )
