/** Calls of a service by its descriptor: unary ones are promises, streams are async iterables. */

import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { Cancelled } from "./errors.js";
import { errorOf } from "./status.js";

/** How one call is made. */
export interface CallOptions {
  /** Milliseconds for the call. Default: the client's. */
  timeoutMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Further request metadata. */
  headers?: Readonly<Record<string, string>>;
}

type Unary<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => Promise<MessageShape<O>>;

type Streaming<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => AsyncGenerator<MessageShape<O>, void, void>;

/** The methods of a service, as functions. They throw a ZoeError. */
export type Stub<S extends DescService> = {
  readonly [K in keyof S["method"]]: S["method"][K] extends {
    methodKind: infer Kind;
    input: infer I extends DescMessage;
    output: infer O extends DescMessage;
  }
    ? Kind extends "server_streaming"
      ? Streaming<I, O>
      : Unary<I, O>
    : never;
};

/** The stub of a service; what the options of a call leave open is the defaults'. */
export function stubOf<S extends DescService>(service: S, client: grpc.Client, defaults: CallOptions): Stub<S> {
  const functions = service.methods.map((method) => {
    const call = method.methodKind === "server_streaming" ? streaming : unary;
    const bound = (request: MessageInitShape<DescMessage>, options: CallOptions = {}): unknown =>
      call(client, method, create(method.input, request), {
        ...defaults,
        ...options,
        headers: { ...defaults.headers, ...options.headers },
      });
    return [method.localName, bound];
  });
  return Object.fromEntries(functions);
}

type Message = MessageShape<DescMessage>;

function unary(client: grpc.Client, method: DescMethod, request: Message, options: CallOptions): Promise<Message> {
  return new Promise((resolve, reject) => {
    refuseAborted(options.signal);
    const call = client.makeUnaryRequest(
      ...codec(method), request, metadataOf(options), deadlineOf(options),
      (error: grpc.ServiceError | null, response?: Message) => {
        stopListening();
        if (response !== undefined) resolve(response);
        else reject(errorOf(error as grpc.ServiceError, options));
      },
    ); // prettier-ignore
    const stopListening = cancelOn(options.signal, call);
  });
}

async function* streaming(
  client: grpc.Client, method: DescMethod, request: Message, options: CallOptions,
): AsyncGenerator<Message, void, void> { // prettier-ignore
  refuseAborted(options.signal);
  const call = client.makeServerStreamRequest(...codec(method), request, metadataOf(options), deadlineOf(options));
  call.on("error", () => {}); // what breaks off after the reader has left is nobody's business
  const stopListening = cancelOn(options.signal, call);
  try {
    yield* call;
  } catch (error) {
    throw errorOf(error as grpc.ServiceError, options);
  } finally {
    stopListening();
    call.cancel();
  }
}

type Codec = [string, (message: Message) => Buffer, (bytes: Buffer) => Message];

function codec(method: DescMethod): Codec {
  return [
    `/${method.parent.typeName}/${method.name}`,
    (message) => Buffer.from(toBinary(method.input, message)),
    (bytes) => fromBinary(method.output, bytes),
  ];
}

function metadataOf(options: CallOptions): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  return metadata;
}

function deadlineOf({ timeoutMs }: CallOptions): grpc.CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

function refuseAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new Cancelled({ code: "CANCELLED", message: "cancelled before it began", cause: signal.reason });
}

/** Ends the call with the signal, until the returned function is called. */
function cancelOn(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = (): void => {
    call.cancel();
    // grpc-js 1.14 goes on with a call that is cancelled in its first moment, and then nothing would end it
    setImmediate(() => call.cancel());
  };
  signal?.addEventListener("abort", cancel, { once: true });
  return () => signal?.removeEventListener("abort", cancel);
}
