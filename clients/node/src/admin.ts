/** The messages and the service of zoe.admin.v1. */
export * from "./gen/zoe/admin/v1/admin_service_pb.js";
export * from "./gen/zoe/admin/v1/backend_pb.js";
export * from "./gen/zoe/admin/v1/stats_pb.js";
