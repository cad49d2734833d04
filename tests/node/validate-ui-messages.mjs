// Reads {"cases": [[UIMessage, …], …]} from stdin, asks the AI SDK whether each list is valid, prints the answers as JSON.
// The packages are looked for in COSESSION_TEST_MODULES (a folder that holds node_modules), or else beside this file.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.COSESSION_TEST_MODULES ?? import.meta.dirname;
const require = createRequire(join(folder, "package.json"));
const { safeValidateUIMessages } = await import(pathToFileURL(require.resolve("ai")));

let input = "";
for await (const chunk of process.stdin) input += chunk;
const answers = [];
for (const messages of JSON.parse(input).cases) {
  const result = await safeValidateUIMessages({ messages });
  answers.push({
    valid: result.success,
    error: result.success ? null : String(result.error),
    parts: result.success ? result.data.map((message) => message.parts.map((part) => part.type)) : null,
  });
}
console.log(JSON.stringify(answers));
