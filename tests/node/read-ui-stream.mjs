// Reads groups of UI message chunks, one case a line, by the AI SDK's own reader, and answers with the message after
// each group. Every chunk is judged by the AI SDK's schema as well.

import { createInterface } from "node:readline";
import { readUIMessageStream, uiMessageChunkSchema } from "ai";

const schema = await uiMessageChunkSchema();

async function read(groups) {
  const chunks = groups.flat();
  for (const chunk of chunks) {
    const judged = await schema.validate(chunk);
    if (!judged.success) throw new Error(`${JSON.stringify(chunk)}: ${judged.error}`);
  }
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  let last = null;
  for await (const message of readUIMessageStream({ stream, terminateOnError: true })) last = message;
  return last;
}

for await (const line of createInterface({ input: process.stdin })) {
  const groups = JSON.parse(line);
  const messages = [];
  const shown = [{ type: "message-metadata", messageMetadata: {} }]; // the reader shows a new step with the next chunk
  for (let count = 1; count <= groups.length; count++) messages.push(await read([...groups.slice(0, count), shown]));
  console.log(JSON.stringify(messages));
}
