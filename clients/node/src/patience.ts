/**
 * How long one call may last, and when it may be tried again.
 *
 * The rule: gRPC itself repeats UNAVAILABLE; this is for RESOURCE_EXHAUSTED, and only with the daemon's advice, since
 * without it a repetition adds to the load.
 */

import { setTimeout as pause } from "node:timers/promises";

import { ZoeError } from "./errors.js";

/** The time and the tries that are left for one call. */
export class Patience {
  readonly #end: number;
  #retries: number;

  constructor(timeoutMs: number, retries: number) {
    this.#end = performance.now() + timeoutMs;
    this.#retries = retries;
  }

  /** Milliseconds that are left, 0 or more. */
  get remainingMs(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** Waits as the daemon advises, or throws the error if there is no further try. */
  async after(error: unknown, signal?: AbortSignal): Promise<void> {
    const delay = error instanceof ZoeError && error.code === "RESOURCE_EXHAUSTED" ? error.retryAfterMs : undefined;
    if (delay === undefined || delay >= this.remainingMs || !this.#retries) throw error;
    this.#retries -= 1;
    // an abort ends the wait; the next try then ends at once, as any call with this signal
    await pause(delay, undefined, signal && { signal }).catch(() => {});
  }

  /** Rules out further tries: a part of the answer has come. */
  commit(): void {
    this.#retries = 0;
  }
}
