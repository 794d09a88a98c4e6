"""The daemon as its own caller: whether a health check through one of its own addresses is answered.

An answer proves that gRPC's threads, its core and the event loop are alive; what it says of the backends does not matter.
"""

from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2 as pb

METHOD = "/grpc.health.v1.Health/Check"


class SelfCheck:
    """Use as a context manager; call it for one check. `address` is one that the daemon listens on."""

    def __init__(self, address: str, limit: float = 5.0) -> None:
        self._address = address.replace("0.0.0.0:", "127.0.0.1:", 1).replace("[::]:", "[::1]:", 1)
        self._limit = limit

    async def __aenter__(self) -> Self:
        options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
        self._channel = grpc.aio.insecure_channel(self._address, options)
        self._check = self._channel.unary_unary(
            METHOD,
            request_serializer=pb.HealthCheckRequest.SerializeToString,
            response_deserializer=pb.HealthCheckResponse.FromString,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def __call__(self) -> bool:
        """Whether it is answered within `limit` seconds."""
        try:
            await self._check(pb.HealthCheckRequest(), timeout=self._limit)
        except grpc.aio.AioRpcError:
            return False
        return True
