/** Of what one wrote, what a server deleted behind the last fence is lost, character for character. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import { lostTexts, missingIn } from "../src/lost.ts";

const TEXT = "abcde";

/** Every pair of a place and a place behind it in the text. */
const RANGES = [...TEXT].flatMap((_, start) =>
  [...TEXT.slice(start)].map((_, length) => [start, start + length + 1] as const),
);

function copy(doc: Y.Doc): Y.Doc {
  const made = new Y.Doc();
  Y.applyUpdate(made, Y.encodeStateAsUpdate(doc));
  return made;
}

test.each([0, 2, 5])(
  "what the server deleted behind clock %i is lost, unless it was deleted here too",
  (saved) => {
    for (const [start, stop] of RANGES) {
      for (const [from, to] of [[0, 0] as const, ...RANGES]) {
        const doc = new Y.Doc();
        doc.getText("text:notes").insert(0, TEXT);
        const fresh = copy(doc);
        doc.getText("text:notes").delete(from, to - from);
        fresh.getText("text:notes").delete(start, stop - start);
        const isLost = (at: number): boolean =>
          at >= saved && at >= start && at < stop && !(at >= from && at < to);
        const wanted = [...TEXT].filter((_, at) => isLost(at)).join("");
        const found = lostTexts(
          doc,
          missingIn(fresh, new Map([[doc.clientID, saved]])),
          [doc.clientID],
          fresh,
        );
        expect(found).toEqual(wanted === "" ? [] : [wanted]);
      }
    }
  },
);

test("of a list with plain values only those are lost that the server deleted or lacks", () => {
  const doc = new Y.Doc();
  doc.getMap("state").set("list", new Y.Array());
  const list = (of: Y.Doc): Y.Array<string> => of.getMap("state").get("list") as Y.Array<string>;
  list(doc).push(["a", "b", "c"]);
  const fresh = copy(doc);
  list(fresh).delete(1, 1);
  list(doc).push(["d"]);
  const found = lostTexts(doc, missingIn(fresh, new Map()), [doc.clientID], fresh);
  expect(found).toEqual(["b", "d"]);
});
