/** How a client reaches its daemon: its options, or else the environment. */

import { readFileSync } from "node:fs";

import * as grpc from "@grpc/grpc-js";

import { adminTarget, inferenceTarget, isSocket } from "./target.js";

/** Options of a client. */
export interface ConnectionOptions {
  /** Key for the daemon. Default: `$ZOE_GRPCD_API_KEY`, else none. */
  apiKey?: string;
  /** Milliseconds for a call that states none. Default: 600,000. */
  timeoutMs?: number;
  /**
   * Repetitions of a call that the daemon asks to repeat later (RESOURCE_EXHAUSTED with RetryInfo); 0 repeats nothing,
   * gRPC's own repetitions of UNAVAILABLE included. Default: 2.
   */
  maxRetries?: number;
  /** Whether a host is spoken to over TLS; the files below imply it. Unix sockets stay plain. Default: false. */
  tls?: boolean;
  /** Authorities that the daemon's certificate may be signed by, PEM. Default: `$ZOE_GRPCD_CA_FILE`, else Node's. */
  caFile?: string;
  /** Certificate that this client shows, PEM. Default: `$ZOE_GRPCD_CERT_FILE`, else none. */
  certFile?: string;
  /** Private key of `certFile`, PEM. Default: `$ZOE_GRPCD_KEY_FILE`, else none. */
  keyFile?: string;
  /** Credentials of another sort, for every target. */
  credentials?: grpc.ChannelCredentials;
  /** Where the admin service is. Default: its unix socket in `$XDG_RUNTIME_DIR`. */
  adminTarget?: string;
}

const KNOWN = [
  "apiKey", "timeoutMs", "maxRetries", "tls", "caFile", "certFile", "keyFile", "credentials", "adminTarget",
]; // prettier-ignore

/** Where the services are, and what holds for every call. */
export interface Connection {
  readonly target: string;
  readonly adminTarget: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  /** What a channel to this target is opened with. */
  credentialsFor(target: string): grpc.ChannelCredentials;
}

/** The connection that a client's arguments and the environment describe. A mistake is a TypeError that names it. */
export function connectionOf(target: string | undefined, options: ConnectionOptions): Connection {
  refuseUnknown(options, KNOWN);
  const { timeoutMs = 600_000, maxRetries = 2, credentials } = options;
  const tls = tlsOf(options);
  const plain = grpc.credentials.createInsecure();
  return {
    target: inferenceTarget(target),
    adminTarget: adminTarget(options.adminTarget),
    headers: authorization(options.apiKey ?? process.env["ZOE_GRPCD_API_KEY"] ?? ""),
    timeoutMs: positive(timeoutMs, "timeoutMs"),
    maxRetries,
    credentialsFor: (where) => credentials ?? (isSocket(where) ? plain : tls ?? plain),
  };
}

/** Throws a TypeError that names an option which there is not. */
export function refuseUnknown(options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`${unknown}: unknown; known are ${known.join(", ")}`);
}

/** The number, if it is one above 0. */
export function positive(value: number, name: string): number {
  if (!(value > 0)) throw new TypeError(`${name}: has to be a number above 0, not ${String(value)}`);
  return value;
}

function authorization(key: string): Record<string, string> {
  // gRPC's own complaint about a bad header would quote the key
  if (!/^[\x20-\x7e]*$/.test(key)) throw new TypeError("apiKey: has characters that a header cannot carry");
  return key ? { authorization: `Bearer ${key}` } : {};
}

function tlsOf(options: ConnectionOptions): grpc.ChannelCredentials | undefined {
  const ca = content("caFile", "CA_FILE", options.caFile);
  const cert = content("certFile", "CERT_FILE", options.certFile);
  const key = content("keyFile", "KEY_FILE", options.keyFile);
  if (!cert !== !key) throw new TypeError(cert ? "keyFile: needed with certFile" : "certFile: needed with keyFile");
  return options.tls || ca || cert ? grpc.credentials.createSsl(ca, key, cert) : undefined;
}

function content(name: string, variable: string, path?: string): Buffer | null {
  const chosen = path || process.env[`ZOE_GRPCD_${variable}`];
  if (!chosen) return null;
  try {
    return readFileSync(chosen);
  } catch (error) {
    throw new TypeError(`${name}: ${chosen} can't be read`, { cause: error });
  }
}
