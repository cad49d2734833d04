/** Updates in pieces: each fits, stands on those before it, and together they are the whole document. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import { Backlog } from "../src/backlog.ts";
import { SessionDoc } from "../src/document.ts";
import { DEFAULT_LIMITS } from "../src/limits.ts";
import { nextPiece } from "../src/pieces.ts";
import { merge, seeded } from "./documents.ts";

interface Bounds {
  readonly frameBytes: number;
  readonly structs: number;
}

/** All that a reader which has nothing is given. */
function piecesOf(doc: SessionDoc, bounds: Bounds): Uint8Array[] {
  const backlog = new Backlog(doc);
  backlog.reset(new Map());
  const pieces: Uint8Array[] = [];
  while (!backlog.isEmpty) pieces.push(backlog.take(bounds));
  return pieces;
}

/** A reader that takes updates in order; each must be whole for it. */
function read(pieces: readonly Uint8Array[], bounds: Bounds): Y.Doc {
  const reader = new Y.Doc();
  for (const piece of pieces) {
    expect(piece.length).toBeLessThanOrEqual(bounds.frameBytes);
    Y.applyUpdate(reader, piece);
    expect(reader.store.pendingStructs).toBeNull();
    expect(reader.store.pendingDs).toBeNull();
  }
  return reader;
}

function jsonOf(doc: Y.Doc): unknown {
  return [doc.getText("text").toDelta(), doc.getArray("list").toJSON(), doc.getMap("map").toJSON()];
}

function edit(doc: Y.Doc, random: (below: number) => number): void {
  const [text, list, map] = [doc.getText("text"), doc.getArray<unknown>("list"), doc.getMap<unknown>("map")];
  const word = (): string => ["a", "日本", "😀", "lorem ipsum"][random(4)]?.repeat(1 + random(30)) as string;
  const place = (length: number): number => random(length + 1);
  switch (random(7)) {
    case 0:
      text.insert(text.length, word());
      return;
    case 1:
      text.delete(0, Math.min(text.length, 2 * random(3)));
      return;
    case 2:
      list.insert(place(list.length), [random(9), word(), { a: [word()] }]);
      return;
    case 3:
      if (list.length > 2) list.delete(random(list.length - 1), 1);
      return;
    case 4:
      map.set(`k${random(5)}`, new Y.Map([["in", new Y.Text(word())]]));
      return;
    case 5: {
      const inner = map.get(`k${random(5)}`);
      if (inner instanceof Y.Map) inner.set(`n${random(3)}`, word());
      return;
    }
    default:
      text.format(0, Math.min(text.length, 3), { bold: random(2) === 1 });
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "documents of several writers travel in pieces of any size, seed %i",
  (seed) => {
    const random = seeded(seed);
    const docs = Array.from({ length: 3 }, () => new SessionDoc());
    for (let count = 0; count < 120; count += 1) {
      edit(docs[random(3)] as Y.Doc, random);
      if (random(4) === 0) merge(docs[random(3)] as Y.Doc, docs[random(3)] as Y.Doc);
    }
    for (const [one, other] of [
      [0, 1],
      [1, 2],
      [0, 2],
    ] as const)
      merge(docs[one] as Y.Doc, docs[other] as Y.Doc);
    const [doc] = docs as [SessionDoc];
    for (const frameBytes of [800, 1_100, 4_000, 100_000]) {
      for (const structs of [16, 40, 10_000]) {
        const bounds = { frameBytes, structs };
        const pieces = piecesOf(doc, bounds);
        const reader = read(pieces, bounds);
        expect(jsonOf(reader)).toEqual(jsonOf(doc));
        expect(Y.encodeStateVector(reader)).toEqual(Y.encodeStateVector(doc));
        for (const piece of pieces) {
          const { structs: read, ds } = Y.decodeUpdate(piece);
          const ranges = [...ds.clients.values()].reduce((sum, each) => sum + each.length, 0);
          expect(read.length + ranges).toBeLessThanOrEqual(structs);
        }
      }
    }
  },
);

test("records stay whole where they fit", () => {
  const doc = new SessionDoc();
  const list = doc.getArray<Y.Map<unknown>>("list");
  for (let count = 0; count < 40; count += 1) {
    const record = new Y.Map<unknown>([["id", `r${count}`]]);
    record.set("parts", Y.Array.from([new Y.Text("x".repeat(40 * (count % 5)))]));
    record.set("end", true);
    list.push([record]);
  }
  const bounds = { frameBytes: 1_000, structs: 1_000 };
  const pieces = piecesOf(doc, bounds);
  expect(pieces.length).toBeGreaterThan(3);
  const reader = new Y.Doc();
  for (const piece of pieces) {
    Y.applyUpdate(reader, piece);
    for (const record of reader.getArray<Y.Map<unknown>>("list")) expect(record.get("end")).toBe(true);
  }
});

test("a record that is larger than a piece is cut between its parts, and a text in the middle", () => {
  const doc = new SessionDoc();
  const record = new Y.Map<unknown>([["id", "r"]]);
  record.set("parts", Y.Array.from(["a", "b", "c"].map((each) => new Y.Map([["url", each.repeat(700)]]))));
  doc.getArray("list").push([record]);
  doc.getText("text").insert(0, "😀".repeat(2_000));
  doc.getArray("list").push(Array.from({ length: 500 }, (_, index) => ({ index })));
  const bounds = { frameBytes: 1_000, structs: 60 };
  const reader = read(piecesOf(doc, bounds), bounds);
  expect(jsonOf(reader)).toEqual(jsonOf(doc));
});

test("a single value that is larger than a frame is an error that says so", () => {
  const doc = new SessionDoc();
  doc.getMap("map").set("photo", "x".repeat(2_000));
  const limits = { frameBytes: 1_000, structs: 100 };
  expect(() => nextPiece(doc, new Map(), [doc.clientID], new Map(), limits)).toThrow(/larger than/);
});

test("a reader is given what changed, and nothing of what it brought", () => {
  const doc = new SessionDoc();
  const backlog = new Backlog(doc);
  doc.watch((transaction) => backlog.note(transaction, transaction.origin === "reader"));
  const reader = new Y.Doc();
  reader.getArray("list").push(["theirs"]);
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(reader), "reader");
  expect(backlog.isEmpty).toBe(true);
  doc.getArray("list").push(["ours"]);
  doc.getArray("list").delete(0, 1);
  const update = backlog.take(DEFAULT_LIMITS);
  expect(Y.decodeUpdate(update).structs.length).toBe(1);
  Y.applyUpdate(reader, update);
  expect(reader.getArray("list").toJSON()).toEqual(["ours"]);
  expect(backlog.isEmpty).toBe(true);
});

test("what waited for something that the reader brought is given to it", () => {
  const [first, second] = [new Y.Doc(), new Y.Doc()];
  first.getArray("list").push(["one"]);
  const one = Y.encodeStateAsUpdate(first);
  Y.applyUpdate(second, one);
  second.getArray("list").push(["two"]);
  const two = Y.encodeStateAsUpdate(second, Y.encodeStateVectorFromUpdate(one));
  const doc = new SessionDoc();
  const backlog = new Backlog(doc);
  doc.watch((transaction) => backlog.note(transaction, transaction.origin === "reader"));
  Y.applyUpdate(doc, two);
  Y.applyUpdate(doc, one, "reader");
  Y.applyUpdate(first, backlog.take(DEFAULT_LIMITS));
  expect(first.getArray("list").toJSON()).toEqual(["one", "two"]);
});

test("260,000 small changes fit into frames of the default limits", { timeout: 120_000 }, () => {
  const doc = new SessionDoc();
  const map = doc.getMap("map");
  doc.transact(() => {
    for (let count = 0; count < 260_000; count += 1) map.set(`k${count}`, count);
  });
  const pieces = piecesOf(doc, DEFAULT_LIMITS);
  expect(pieces.length).toBeGreaterThan(1);
  for (const piece of pieces) expect(piece.length).toBeLessThan(DEFAULT_LIMITS.frameBytes);
  const counts = pieces.map((piece) => Y.decodeUpdate(piece).structs.length);
  expect(Math.max(...counts)).toBeLessThan(DEFAULT_LIMITS.structs);
  expect(counts.reduce((sum, count) => sum + count)).toBe(260_000);
});
