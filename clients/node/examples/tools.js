// Lets the model call a function, and answers with its result: node tools.js "What time is it in Berlin?".
import { Client } from "zoe-grpc-client";

const CLOCK = {
  name: "time_in",
  description: "Tells the time in a zone such as Europe/Berlin.",
  parameters: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] },
};

/** What the model asked for. It may have asked for nonsense: then it is told so, and can try again. */
function timeIn(argumentsJson) {
  try {
    const { zone } = JSON.parse(argumentsJson);
    return new Date().toLocaleTimeString("en-GB", { timeZone: zone ?? "", timeStyle: "short" });
  } catch (error) {
    return `that did not work: ${error.message}`;
  }
}

async function main(client, question) {
  const turns = [question];
  for (let round = 0; round < 3; round++) {
    const answer = await client.complete(turns, { tools: [CLOCK], maxOutputTokens: 500, timeoutMs: 60_000 });
    if (!answer.toolCalls.length) return console.log(answer.text);
    turns.push(answer.message);
    for (const { id, name, argumentsJson } of answer.toolCalls) {
      const content = timeIn(argumentsJson);
      console.error(`${name}(${argumentsJson}) -> ${content}`);
      turns.push({ role: "tool", tool_call_id: id, content });
    }
  }
  throw new Error("the model only calls functions");
}

const client = new Client();
try {
  await main(client, process.argv.slice(2).join(" ") || "What time is it in Berlin?");
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
client.close();
