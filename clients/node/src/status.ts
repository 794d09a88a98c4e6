/** From the status of a failed call to its error: the code decides its class, and the details come along. */

import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";

import * as errors from "./errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema, type Status } from "./gen/google/rpc/status_pb.js";
import { AttemptsDetailSchema } from "./gen/zoe/inference/v1/error_pb.js";

const DOMAIN = "zoe-grpcd";

const CLASSES: Partial<Record<errors.Code, typeof errors.ZoeError>> = {
  INVALID_ARGUMENT: errors.InvalidRequest,
  NOT_FOUND: errors.NotFound,
  FAILED_PRECONDITION: errors.NoCapableBackend,
  UNAVAILABLE: errors.Unavailable,
  ABORTED: errors.BackendLost,
  RESOURCE_EXHAUSTED: errors.ResourceExhausted,
  DEADLINE_EXCEEDED: errors.DeadlineExceeded,
  CANCELLED: errors.Cancelled,
  UNAUTHENTICATED: errors.Unauthenticated,
  PERMISSION_DENIED: errors.PermissionDenied,
  UNIMPLEMENTED: errors.Unimplemented,
  INTERNAL: errors.Internal,
};

/** What is known of a call besides its status. */
interface Known {
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** The ZoeError that a failed call of gRPC means; anything else is returned as it is. */
export function errorOf(error: grpc.ServiceError, known: Known = {}): Error {
  if (typeof error.code !== "number" || !error.metadata) return error;
  const code = grpc.status[error.code] as errors.Code;
  const details = detailsOf(error);
  const info = details(ErrorInfoSchema);
  const ours = info?.domain === DOMAIN ? info : undefined;
  // a daemon that ends has used up the time of a call that ran, which is nothing that a backend did
  const kind = ours?.reason === "SHUTTING_DOWN" ? errors.Unavailable : CLASSES[code] ?? errors.ZoeError;
  const retry = details(RetryInfoSchema)?.retryDelay;
  const tried = details(AttemptsDetailSchema);
  return new kind({
    code,
    message: error.details,
    reason: (ours?.reason ?? "") as errors.Reason,
    metadata: ours?.metadata ?? {},
    violations: violationsOf(details),
    retryAfterMs: retry && durationMs(retry),
    attempts: tried?.attempts ?? [],
    tokensSent: tried?.outputTokensSent ?? 0,
    requestId: details(RequestInfoSchema)?.requestId || known.headers?.["x-request-id"] || "",
    cause: known.signal?.aborted ? known.signal.reason : error,
  });
}

type Details = <D extends DescMessage>(schema: D) => MessageShape<D> | undefined;

/** Finds the detail of a kind, of which there is one at most. */
function detailsOf(error: grpc.ServiceError): Details {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const status: Status | undefined = packed instanceof Buffer ? fromBinary(StatusSchema, packed) : undefined;
  return (schema) => {
    for (const each of status?.details ?? []) {
      const detail = anyUnpack(each, schema);
      if (detail) return detail;
    }
    return undefined;
  };
}

function violationsOf(details: Details): errors.Violation[] {
  const wrong = details(BadRequestSchema)?.fieldViolations ?? [];
  const lacking = [
    ...(details(PreconditionFailureSchema)?.violations ?? []),
    ...(details(QuotaFailureSchema)?.violations ?? []),
  ];
  return [
    ...wrong.map(({ field, description }) => ({ field, description })),
    ...lacking.map(({ subject, description }) => ({ field: subject, description })),
  ];
}
