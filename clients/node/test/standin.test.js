// What a client does by itself, shown on servers that fail as they are told.
import assert from "node:assert/strict";
import { test } from "node:test";

import * as grpc from "@grpc/grpc-js";
import { Client, DeadlineExceeded, InvalidRequest, ResourceExhausted, Unavailable } from "zoe-grpc-client";

import { refusal, StandIn } from "./standin.js";

const { UNAVAILABLE, RESOURCE_EXHAUSTED, INVALID_ARGUMENT } = grpc.status;
const unavailable = refusal(UNAVAILABLE, "NO_HEALTHY_BACKEND");

function clientOf(t, target, options) {
  const client = new Client(target, { timeoutMs: 20_000, ...options });
  t.after(() => client.close());
  return client;
}

test("what is unavailable is asked for again by the shipped service config", async (t) => {
  const server = await StandIn.start(t);
  server.script = [unavailable, unavailable, "four"];
  const answer = await clientOf(t, server.address).complete("2+2?");
  assert.equal(answer.text, "four");
  assert.equal(server.requests.length, 3);
});

test("nothing is asked for again by a client that may not", async (t) => {
  const server = await StandIn.start(t);
  server.script = [unavailable, "four"];
  const failing = clientOf(t, server.address, { maxRetries: 0 }).complete("2+2?");
  await assert.rejects(failing, (error) => error instanceof Unavailable && error.reason === "NO_HEALTHY_BACKEND");
  assert.equal(server.requests.length, 1);
});

test("who is told when to come back comes back then", async (t) => {
  const server = await StandIn.start(t);
  server.script = [refusal(RESOURCE_EXHAUSTED, "QUEUE_FULL", 50), "four"];
  const began = performance.now();
  assert.equal((await clientOf(t, server.address).complete("2+2?")).text, "four");
  assert.ok(performance.now() - began >= 45); // a timer may be a little early
});

test("who is told to come back after the deadline is told so", async (t) => {
  const server = await StandIn.start(t);
  server.script = [refusal(RESOURCE_EXHAUSTED, "QUEUE_FULL", 90_000)];
  const failing = clientOf(t, server.address).complete("2+2?");
  await assert.rejects(failing, (error) => error instanceof ResourceExhausted && error.retryAfterMs === 90_000);
});

test("a call that nobody answers ends with its deadline", async (t) => {
  const server = await StandIn.start(t);
  server.script = [undefined];
  await assert.rejects(clientOf(t, server.address).complete("2+2?", { timeoutMs: 100 }), DeadlineExceeded);
});

test("what is wrong stays wrong, and is not asked for again", async (t) => {
  const server = await StandIn.start(t);
  server.script = [refusal(INVALID_ARGUMENT, "BAD_REQUEST")];
  await assert.rejects(clientOf(t, server.address).complete("2+2?"), InvalidRequest);
  assert.equal(server.requests.length, 1);
});

test("replicas take turns", async (t) => {
  const [one, two] = [await StandIn.start(t), await StandIn.start(t)];
  one.script = two.script = ["four"];
  const client = clientOf(t, `ipv4:${one.address},${two.address}`);
  await until(async () => {
    await client.complete("2+2?");
    return one.requests.length && two.requests.length;
  });
  one.requests.length = two.requests.length = 0;
  for (let i = 0; i < 6; i++) await client.complete("2+2?");
  assert.deepEqual([one.requests.length, two.requests.length], [3, 3]);
});

test("a replica that says it is not serving gets no call until it is", async (t) => {
  const [ill, well] = [await StandIn.start(t), await StandIn.start(t)];
  ill.script = well.script = ["four"];
  const client = clientOf(t, `ipv4:${ill.address},${well.address}`);
  ill.becomes(false);
  await until(async () => (await tenAsked(client)).every((backend) => backend === well.address));
  ill.requests.length = 0;
  await tenAsked(client);
  assert.equal(ill.requests.length, 0);
  ill.becomes(true);
  await until(async () => (await tenAsked(client)).includes(ill.address));
});

test("a replica without a health service is well, and one that is gone is missed by nobody", async (t) => {
  const [plain, gone] = [await StandIn.start(t, { watched: false }), await StandIn.start(t)];
  plain.script = gone.script = ["four"];
  const client = clientOf(t, `ipv4:${plain.address},${gone.address}`);
  await until(async () => new Set(await tenAsked(client)).size === 2);
  gone.end();
  assert.deepEqual(new Set(await tenAsked(client)), new Set([plain.address]));
});

test("mistakes are told before anything is sent", async (t) => {
  const client = clientOf(t, "127.0.0.1:1");
  await assert.rejects(client.complete("hi", { temprature: 1 }), /temprature: unknown option/);
  await assert.rejects(client.complete("hi", { model: "a", intent: "b" }), /model and intent: give only one/);
  await assert.rejects(client.complete("hi", { priority: "urgent" }), /priority: urgent is not one of batch, low/);
  await assert.rejects(client.complete([{ role: "robot", content: "hi" }]), /messages\[0\]\.role: robot is not one of/);
  await assert.rejects(client.complete(), /messages: a prompt/);
  assert.throws(() => new Client("127.0.0.1:1", { apiKey: "kéy" }), { message: /^apiKey: has characters/ });
  assert.throws(() => new Client("127.0.0.1:1", { certFile: "nowhere.pem" }), /certFile: nowhere.pem can't be read/);
  assert.throws(() => new Client("127.0.0.1:1", { retries: 1 }), /retries: unknown; known are apiKey/);
});

async function tenAsked(client) {
  const answers = [];
  for (let i = 0; i < 10; i++) answers.push(await client.complete("2+2?"));
  return answers.map((answer) => answer.decision.chosen.backend);
}

async function until(condition) {
  const end = performance.now() + 20_000;
  while (!(await condition())) assert.ok(performance.now() < end, "it never came true");
}
