/** The Node client of zoe-grpcd. The messages are in `zoe-grpc-client/inference` and `zoe-grpc-client/admin`. */
export { Answer, type Event } from "./answer.js";
export { Client } from "./client.js";
export * from "./errors.js";
export type { Messages, Tool, Turn } from "./messages.js";
export type { Options, SpecOptions, StreamOptions } from "./options.js";
export type { CallOptions, Stub } from "./rpc.js";
export type { ConnectionOptions } from "./settings.js";
export type { Stream } from "./stream.js";
