/** The messages and the service of zoe.inference.v1. Their comments are the reference. */
export * from "./gen/zoe/inference/v1/decision_pb.js";
export * from "./gen/zoe/inference/v1/error_pb.js";
export * from "./gen/zoe/inference/v1/inference_service_pb.js";
export * from "./gen/zoe/inference/v1/message_pb.js";
export * from "./gen/zoe/inference/v1/response_pb.js";
export * from "./gen/zoe/inference/v1/routing_pb.js";
export * from "./gen/zoe/inference/v1/spec_pb.js";
