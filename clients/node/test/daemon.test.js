// The client and a real daemon, which `tests/daemon/test_node_client.py` starts: models `endless` and `tool`, a key,
// and TLS that asks for certificates on its port.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import {
  Cancelled,
  Client,
  DeadlineExceeded,
  InvalidRequest,
  NotFound,
  Unauthenticated,
  Unavailable,
  ZoeError,
} from "zoe-grpc-client";
import { Locality, Role } from "zoe-grpc-client/inference";

const { ZOE_TEST_SOCKET, ZOE_TEST_ADMIN, ZOE_TEST_ADDRESS, ZOE_TEST_KEY, ZOE_TEST_CERTIFICATES } = process.env;
const skip = ZOE_TEST_SOCKET ? false : "there is no daemon: tests/daemon/test_node_client.py starts one";
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = { type: "function", function: { name: "get_weather", parameters: CITY } };
const PROMPT = "tell me of the river and the clock";

const meeting = (sentence, meets) =>
  test(sentence, { skip }, async (t) => {
    const client = new Client(ZOE_TEST_SOCKET, { apiKey: ZOE_TEST_KEY, adminTarget: ZOE_TEST_ADMIN });
    t.after(() => client.close());
    await meets(client);
  });

meeting("a whole answer says who gave it and why", async (client) => {
  const answer = await client.complete(PROMPT, { model: "endless", maxOutputTokens: 5, locality: "local_only" });
  assert.ok(answer.text.trim());
  assert.equal(answer.finishReason, "length");
  assert.equal(answer.usage.completionTokens, 5n);
  assert.equal(answer.decision.chosen.model, "endless");
  assert.ok(answer.decision.explanation);
  assert.equal(answer.message.role, Role.ASSISTANT);
});

meeting("a stream is a decision, text, and the end", async (client) => {
  const stream = client.stream(PROMPT, { model: "endless", maxOutputTokens: 8 });
  const seen = [];
  let text = "";
  for await (const event of stream) {
    seen.push(event.case);
    if (event.case === "delta") text += event.value.text;
  }
  assert.deepEqual([...new Set(seen)], ["decision", "delta", "completed"]);
  const answer = await stream.final();
  assert.equal(answer.text, text);
  assert.equal(answer.usage.completionTokens, 8n);
});

meeting("the text alone can be read", async (client) => {
  const pieces = [];
  const stream = client.stream(PROMPT, { model: "endless", maxOutputTokens: 8 });
  for await (const text of stream.text()) pieces.push(text);
  assert.equal(pieces.join(""), (await stream.final()).text);
});

meeting("a tool is called, and its result answered", async (client) => {
  const asked = { model: "tool", tools: [TOOL], toolChoice: "auto" };
  const first = await client.stream("How is the weather in Paris?", asked).final();
  const [call] = first.toolCalls;
  assert.deepEqual([first.finishReason, call.name], ["tool_calls", "get_weather"]);
  assert.deepEqual(JSON.parse(call.argumentsJson), { city: "Paris" });
  assert.deepEqual((await client.complete("How is the weather?", asked)).toolCalls[0].name, "get_weather");
  const result = { role: "tool", tool_call_id: call.id, content: "rain" };
  const turns = ["How is the weather in Paris?", first.message, result];
  assert.ok((await client.complete(turns, { ...asked, toolChoice: "none", maxOutputTokens: 3 })).text);
});

meeting("an answer that takes longer than its deadline is none", async (client) => {
  const reading = client.stream(PROMPT, { model: "endless", timeoutMs: 1000 }).final();
  const late = (error) => error instanceof DeadlineExceeded || error.reason === "DEADLINE_UNREACHABLE"; // if it knows
  await assert.rejects(reading, late);
});

meeting("an abort ends a stream, and its backend is free again", async (client) => {
  const leaving = new AbortController();
  const stream = client.stream(PROMPT, { model: "endless", signal: leaving.signal });
  await assert.rejects(
    async () => {
      for await (const event of stream) if (event.case === "delta") leaving.abort(new Error("enough"));
    },
    (error) => error instanceof Cancelled && error.cause.message === "enough",
  );
  await nobodyInFlight(client);
});

meeting("an abort ends a call that is waited for, also before it began", async (client) => {
  const asked = { model: "endless", signal: AbortSignal.timeout(300) };
  await assert.rejects(client.complete(PROMPT, asked), (error) => error.cause.name === "TimeoutError");
  await assert.rejects(client.complete(PROMPT, asked), Cancelled);
  await nobodyInFlight(client);
});

meeting("an abort in the first moment of a call reaches the backend, too", async (client) => {
  await client.route(PROMPT); // so that there is a connection to begin on
  const leaving = new AbortController();
  const asking = client.complete(PROMPT, { model: "endless", signal: leaving.signal });
  leaving.abort();
  await assert.rejects(asking, Cancelled);
  await client.route(PROMPT); // what was sent before it has arrived
  await nobodyInFlight(client);
});

meeting("who leaves the loop cancels the call", async (client) => {
  for await (const event of client.stream(PROMPT, { model: "endless" })) if (event.case === "delta") break;
  await nobodyInFlight(client);
});

meeting("every violation of a request is told at once", async (client) => {
  const asking = client.complete(PROMPT, { temperature: 9, topP: -1 });
  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.deepEqual([error.code, error.reason], ["INVALID_ARGUMENT", "BAD_REQUEST"]);
    const fields = error.violations.map((each) => each.field);
    assert.deepEqual(fields, ["spec.sampling.temperature", "spec.sampling.top_p"]);
    return true;
  });
});

meeting("an unknown model is answered with the one that was meant", async (client) => {
  const asking = client.complete(PROMPT, { model: "endles", requestId: "node-1" });
  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof NotFound && error instanceof ZoeError);
    assert.deepEqual([error.reason, error.requestId], ["MODEL_NOT_FOUND", "node-1"]);
    assert.equal(error.metadata.did_you_mean, "endless");
    return true;
  });
});

meeting("a route is told without a call of a backend", async (client) => {
  const decision = await client.route(PROMPT, { model: "endless", explain: true });
  assert.equal(decision.chosen.backend, "endless");
  assert.ok(decision.candidates.length >= 1);
});

meeting("health and administration are there", async (client) => {
  assert.equal(await client.serving(), true);
  assert.equal(await client.serving("zoe.inference.v1.InferenceService"), true);
  const { backends } = await client.admin.listBackends({});
  assert.ok(backends.some((backend) => backend.name === "endless"));
});

meeting("a raw method takes the message itself", async (client) => {
  const spec = { target: { selector: { case: "model", value: "endless" } }, routing: { locality: Locality.ANY } };
  const request = { spec: { ...spec, messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "hi" } }] }] } };
  assert.equal((await client.inference.route(request)).decision.chosen.model, "endless");
});

meeting("without its key a client is refused", async () => {
  const client = new Client(ZOE_TEST_SOCKET, { apiKey: "" });
  await assert.rejects(client.complete(PROMPT), (error) => {
    assert.ok(error instanceof Unauthenticated);
    assert.equal(error.reason, "CREDENTIALS_MISSING");
    return true;
  });
  client.close();
});

meeting("over TLS a client shows its certificate, and one without is turned away", async () => {
  const caFile = `${ZOE_TEST_CERTIFICATES}/authority.pem`;
  const shown = { certFile: `${ZOE_TEST_CERTIFICATES}/app.pem`, keyFile: `${ZOE_TEST_CERTIFICATES}/app.key` };
  const known = new Client(ZOE_TEST_ADDRESS, { caFile, ...shown, apiKey: ZOE_TEST_KEY });
  assert.ok((await known.complete(PROMPT, { model: "endless", maxOutputTokens: 1 })).text);
  const unknown = new Client(ZOE_TEST_ADDRESS, { caFile, apiKey: ZOE_TEST_KEY, maxRetries: 0, timeoutMs: 10_000 });
  await assert.rejects(unknown.complete(PROMPT), Unavailable);
  known.close();
  unknown.close();
});

async function nobodyInFlight(client) {
  const end = performance.now() + 20_000;
  for (;;) {
    const { backends } = await client.admin.listBackends({});
    if (backends.every((backend) => !backend.load.inFlight)) return;
    assert.ok(performance.now() < end, "the backend is still at work");
    await pause(20);
  }
}
