// Several daemons as one: node replicas.js 10.0.0.5:50051 10.0.0.6:50051.
//
// Calls go round, a replica that says it is not serving gets none, and a call whose connection breaks before an answer
// has begun goes to another one. With a DNS name that has an address for each, `dns:///routers.lan:50051` says the same.
import { Client, ZoeError } from "zoe-grpc-client";

const addresses = process.argv.slice(2);
const client = new Client(addresses.length ? `ipv4:${addresses.join(",")}` : "dns:///localhost:50051");
for (let number = 0; number < 6; number++) {
  try {
    const answer = await client.complete(`Count to ${number + 1}.`, { maxOutputTokens: 20, timeoutMs: 30_000 });
    console.log(`${number}: ${answer.model} on ${answer.decision?.chosen?.backend}`);
  } catch (error) {
    if (!(error instanceof ZoeError)) throw error;
    console.log(`${number}: ${error.message}`);
  }
}
client.close();
