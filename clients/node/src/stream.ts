/** An answer as it is generated. */

import { type Answer, type Event, Transcript } from "./answer.js";
import { SeamQuality } from "./gen/zoe/inference/v1/routing_pb.js";
import type { Call } from "./call.js";
import type { InferenceStub } from "./client.js";

/** Events of an answer, to be read once. Leaving the loop early cancels the call; a stream that breaks off throws. */
export class Stream implements AsyncIterable<Event> {
  readonly #call: Call;
  readonly #transcript: Transcript;
  readonly #events: AsyncGenerator<Event, void, void>;

  constructor(stub: InferenceStub, call: Call) {
    this.#call = call;
    this.#transcript = new Transcript(call.requestId);
    this.#events = this.#read(stub);
  }

  [Symbol.asyncIterator](): AsyncIterator<Event> {
    return this.#events;
  }

  /** The answer's text as it comes. */
  async *text(): AsyncGenerator<string, void, void> {
    if (this.#call.spec.routing?.failover?.minimumSeam === SeamQuality.RESTART) {
      throw new TypeError("minimumSeam: an answer that may start anew can only be read as events");
    }
    for await (const event of this.#events) {
      if (event.case === "delta" && event.value.text) yield event.value.text;
    }
  }

  /** Reads the stream to its end and returns the whole answer. */
  async final(): Promise<Answer> {
    while (!(await this.#events.next()).done);
    return this.#transcript.answer();
  }

  async *#read(stub: InferenceStub): AsyncGenerator<Event, void, void> {
    const { patience, signal } = this.#call;
    for (;;) {
      try {
        for await (const { event } of stub.streamComplete(this.#call.streamRequest(), this.#call.options())) {
          patience.commit();
          if (event.case === undefined) continue; // of a kind that this client does not know
          this.#transcript.add(event);
          yield event;
        }
        this.#transcript.answer();
        return;
      } catch (error) {
        await patience.after(error, signal);
      }
    }
  }
}
