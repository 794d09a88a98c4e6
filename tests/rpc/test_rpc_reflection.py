"""Reflection: a tool that has no protos finds the services, and calls them."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from rpc.stage import Stage

NAMES = {
    "zoe.inference.v1.InferenceService",
    "zoe.admin.v1.AdminService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
}


async def answers(stage: Stage, version: str, *requests: pb.ServerReflectionRequest) -> list[Any]:
    method = stage.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=pb.ServerReflectionRequest.SerializeToString,
        response_deserializer=pb.ServerReflectionResponse.FromString,
    )
    return [answer async for answer in method(iter(requests))]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_both_versions_list_the_services_and_show_their_files(stage: Stage, version: str) -> None:
    listing, shown, unknown = await answers(
        stage,
        version,
        pb.ServerReflectionRequest(list_services=""),
        pb.ServerReflectionRequest(file_containing_symbol="zoe.inference.v1.InferenceService"),
        pb.ServerReflectionRequest(file_containing_symbol="zoe.nobody"),
    )

    assert {service.name for service in listing.list_services_response.service} == NAMES
    files = [FileDescriptorProto.FromString(f) for f in shown.file_descriptor_response.file_descriptor_proto]
    assert files[0].name == "zoe/inference/v1/inference_service.proto"
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_every_service_that_is_listed_can_be_shown(stage: Stage, version: str) -> None:
    [listing] = await answers(stage, version, pb.ServerReflectionRequest(list_services=""))
    names = [service.name for service in listing.list_services_response.service]

    shown = await answers(
        stage, version, *(pb.ServerReflectionRequest(file_containing_symbol=name) for name in names)
    )

    assert [answer.WhichOneof("message_response") for answer in shown] == ["file_descriptor_response"] * len(
        names
    )


async def test_a_tool_without_protos_calls_route(stage: Stage) -> None:
    def call() -> Any:
        with grpc.insecure_channel(stage.target) as channel:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            method = pool.FindServiceByName("zoe.inference.v1.InferenceService").FindMethodByName("Route")
            request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            route = channel.unary_unary(
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            asked = {"spec": {"messages": [{"role": "ROLE_USER", "parts": [{"text": "Hello."}]}]}}
            return MessageToDict(route(ParseDict(asked, request())))

    answer = await asyncio.to_thread(call)

    assert answer["decision"]["chosen"]["backend"] == "one"
