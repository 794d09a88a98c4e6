"""The admin service behind a port: only keys with `admin: true` come in.

Rule: it stands before every method, so that one that is added needs no thought. On its socket, which only its owner can
open, the service has no such door. Health and reflection tell nothing of use and stay open.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from zoe_grpcd.access import Access
from zoe_grpcd.core.errors import ZoeError
from zoe_grpcd.rpc.admin import SERVICE
from zoe_grpcd.rpc.guard import AUTHORIZATION, Context, first_of, refuse

Continue = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class AdminDoor(grpc.aio.ServerInterceptor):
    """Asks for the key of an admin."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(self, continuation: Continue, handler_call_details: Any) -> Any:
        """See ServerInterceptor."""
        if handler_call_details.method.startswith(f"/{SERVICE}/"):
            try:
                key = first_of(handler_call_details.invocation_metadata, AUTHORIZATION)
                self._access.administrator(key)
            except ZoeError as error:
                return grpc.unary_unary_rpc_method_handler(partial(_refused, error))
        return await continuation(handler_call_details)


async def _refused(error: ZoeError, _request: bytes, context: Context) -> None:
    await refuse(context, error)
