// An answer within a time, or none: node deadline.js 5 "Name a river.".
//
// One deadline holds for everything: the daemon's queue, the load of a model, and each try again. What is repeated by
// itself is safe to repeat: nothing of an answer had come, or the daemon said when to come back.
import { Client, DeadlineExceeded, ResourceExhausted, ZoeError } from "zoe-grpc-client";

const [seconds = "10", ...question] = process.argv.slice(2);
const client = new Client(undefined, { maxRetries: 5 });
try {
  const options = { timeoutMs: Number(seconds) * 1000, maxOutputTokens: 50 };
  const answer = await client.complete(question.join(" ") || "Name a river.", options);
  console.log(answer.text);
} catch (error) {
  if (!(error instanceof ZoeError)) throw error;
  console.error(advice(error));
  process.exitCode = 1;
}
client.close();

function advice(error) {
  if (error.reason === "DEADLINE_UNREACHABLE") return `it would take longer: ${error.details}`;
  if (error instanceof DeadlineExceeded) return `no answer within ${seconds} s`;
  if (error instanceof ResourceExhausted) return `too much to do; come back in ${(error.retryAfterMs ?? 1000) / 1000} s`;
  return error.message;
}
