"""Client of the zoe-grpcd inference router: `Client` for threads, `AsyncClient` for asyncio.

What is named in `__all__` is public, and nothing else.
"""

from zoe.inference.v1.decision_pb2 import RouteDecision
from zoe.inference.v1.message_pb2 import ContentPart, ImagePart, Message, Tool, ToolCall, ToolResult
from zoe.inference.v1.response_pb2 import BackendSwitched, Completed, Delta, Progress, ToolCallDelta, Usage
from zoe.inference.v1.spec_pb2 import InferenceSpec
from zoe_client import errors
from zoe_client.aio import AsyncClient, AsyncStream
from zoe_client.answer import Answer, Event
from zoe_client.errors import (
    BackendFailed,
    BackendLost,
    BackendRejected,
    BackendTimeout,
    BudgetExceeded,
    Cancelled,
    ContextTooLong,
    DeadlineExceeded,
    DeadlineUnreachable,
    IncompleteStream,
    Internal,
    InvalidRequest,
    ModelLoadFailed,
    ModelNotFound,
    NoCapableBackend,
    NoHealthyBackend,
    NotFound,
    PermissionDenied,
    QueueFull,
    QueueTimeout,
    RateLimited,
    ResourceExhausted,
    ShuttingDown,
    SlowConsumer,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
    ZoeError,
)
from zoe_client.options import Options, SpecOptions, StreamingOptions
from zoe_client.settings import ConnectionOptions
from zoe_client.spec import build_spec
from zoe_client.status import from_rpc_error
from zoe_client.sync import Client, Stream
from zoe_client.target import admin_target, inference_target

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncStream",
    "BackendFailed",
    "BackendLost",
    "BackendRejected",
    "BackendSwitched",
    "BackendTimeout",
    "BudgetExceeded",
    "Cancelled",
    "Client",
    "Completed",
    "ConnectionOptions",
    "ContentPart",
    "ContextTooLong",
    "DeadlineExceeded",
    "DeadlineUnreachable",
    "Delta",
    "Event",
    "ImagePart",
    "IncompleteStream",
    "InferenceSpec",
    "Internal",
    "InvalidRequest",
    "Message",
    "ModelLoadFailed",
    "ModelNotFound",
    "NoCapableBackend",
    "NoHealthyBackend",
    "NotFound",
    "Options",
    "PermissionDenied",
    "Progress",
    "QueueFull",
    "QueueTimeout",
    "RateLimited",
    "ResourceExhausted",
    "RouteDecision",
    "ShuttingDown",
    "SlowConsumer",
    "SpecOptions",
    "Stream",
    "StreamingOptions",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "Violation",
    "ZoeError",
    "admin_target",
    "build_spec",
    "errors",
    "from_rpc_error",
    "inference_target",
]
