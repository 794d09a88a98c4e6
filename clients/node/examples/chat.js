// A conversation in the terminal, printed as it is generated: node chat.js [MODEL]. Ctrl-D ends it.
import { createInterface } from "node:readline";

import { Client, ZoeError } from "zoe-grpc-client";

const [model] = process.argv.slice(2);
const client = new Client();
const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "> " });
const turns = [];

lines.prompt();
for await (const line of lines) {
  turns.push(line);
  try {
    const stream = client.stream(turns, { model, sessionId: "chat", maxOutputTokens: 1000 });
    for await (const text of stream.text()) process.stdout.write(text);
    turns.push((await stream.final()).message);
  } catch (error) {
    if (!(error instanceof ZoeError)) throw error;
    turns.pop(); // so that it can be tried again
    process.stdout.write(`[${error.message}]`);
  }
  process.stdout.write("\n");
  lines.prompt();
}
client.close();
