// Reads {update, name, positions} (hex) from stdin. Prints where Yjs sees those positions in the text root of that name
// (in UTF-16 units), the text, and Yjs's own positions: for every index one before its character and one behind the last.
import { createRequire } from "node:module";
import { join } from "node:path";

const folder = process.env.COSESSION_TEST_MODULES ?? import.meta.dirname;
const Y = createRequire(join(folder, "package.json"))("yjs");

let input = "";
for await (const chunk of process.stdin) input += chunk;
const { update, name, positions } = JSON.parse(input);
const doc = new Y.Doc();
Y.applyUpdate(doc, Buffer.from(update, "hex"));
const text = doc.getText(name);
const absolute = (hex) =>
  Y.createAbsolutePositionFromRelativePosition(Y.decodeRelativePosition(Buffer.from(hex, "hex")), doc)?.index ?? null;
const made = (index, assoc) =>
  Buffer.from(Y.encodeRelativePosition(Y.createRelativePositionFromTypeIndex(text, index, assoc))).toString("hex");
const indices = [...Array(text.length + 1).keys()];
console.log(
  JSON.stringify({
    text: text.toString(),
    indices: positions.map(absolute),
    before: indices.map((index) => made(index, 0)),
    behind: indices.map((index) => made(index, -1)),
  }),
);
