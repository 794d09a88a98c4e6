/**
 * Errors of calls: one class for each thing that a caller can do about it; `reason` tells more.
 *
 *   ZoeError
 *   ├── InvalidRequest       change the request; `violations` names each field
 *   ├── NotFound             `metadata.did_you_mean` may have the right name
 *   ├── NoCapableBackend     ask for less, or add a backend
 *   ├── Unavailable          try again later; `attempts` tells who was tried
 *   ├── BackendLost          the answer broke off after `tokensSent` tokens
 *   ├── ResourceExhausted    try again after `retryAfterMs`, if there is such a number
 *   ├── DeadlineExceeded
 *   ├── Cancelled
 *   ├── Unauthenticated
 *   ├── PermissionDenied
 *   ├── Unimplemented
 *   ├── IncompleteStream     the stream ended well but without `completed`
 *   └── Internal             a bug of the daemon; its log has `requestId`
 */

import type { status } from "@grpc/grpc-js";

import type { Attempt } from "./gen/zoe/inference/v1/decision_pb.js";
import type { ErrorReason } from "./gen/zoe/inference/v1/error_pb.js";

/** Name of a status code. */
export type Code = keyof typeof status;

/** Name of a zoe.inference.v1.ErrorReason; empty if the daemon was not reached. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | "";

/** One thing that is wrong with a request: `field` is its path, or the subject of a precondition or quota. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** All that is known of a failed call. */
export interface Failure {
  readonly code: Code;
  readonly message: string;
  readonly reason?: Reason;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly Violation[];
  readonly retryAfterMs?: number | undefined;
  readonly attempts?: readonly Attempt[];
  readonly tokensSent?: number;
  readonly requestId?: string;
  readonly cause?: unknown;
}

/** A call failed. */
export class ZoeError extends Error {
  readonly code: Code;
  readonly reason: Reason;
  /** The text of the status, without the reason and the violations that `message` has, too. */
  readonly details: string;
  /** Metadata of the ErrorInfo. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What is wrong with the request, all at once. */
  readonly violations: readonly Violation[];
  /** Milliseconds to wait before trying again; undefined if the daemon gave no such advice. */
  readonly retryAfterMs: number | undefined;
  /** What was tried, in order. */
  readonly attempts: readonly Attempt[];
  /** Tokens of the answer that had been sent. */
  readonly tokensSent: number;
  /** Finds the request in the daemon's log. */
  readonly requestId: string;

  constructor(failure: Failure) {
    super(sentence(failure), { cause: failure.cause });
    this.name = new.target.name;
    this.code = failure.code;
    this.reason = failure.reason ?? "";
    this.details = failure.message;
    this.metadata = failure.metadata ?? {};
    this.violations = failure.violations ?? [];
    this.retryAfterMs = failure.retryAfterMs;
    this.attempts = failure.attempts ?? [];
    this.tokensSent = failure.tokensSent ?? 0;
    this.requestId = failure.requestId ?? "";
  }
}

export class InvalidRequest extends ZoeError {}
export class NotFound extends ZoeError {}
export class NoCapableBackend extends ZoeError {}
export class Unavailable extends ZoeError {}
export class BackendLost extends ZoeError {}
export class ResourceExhausted extends ZoeError {}
export class DeadlineExceeded extends ZoeError {}
export class Cancelled extends ZoeError {}
export class Unauthenticated extends ZoeError {}
export class PermissionDenied extends ZoeError {}
export class Unimplemented extends ZoeError {}
export class IncompleteStream extends ZoeError {}
export class Internal extends ZoeError {}

function sentence({ code, message, reason, violations = [] }: Failure): string {
  const further = violations.filter((each) => !message.includes(each.description));
  return [`${reason || code}: ${message}`, ...further.map((each) => `${each.field}: ${each.description}`)].join("; ");
}
