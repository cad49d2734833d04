/** The shared queue and the policy, as a page edits them and as it reads whatever is there. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import type { Context } from "../src/context.ts";
import { Conflict } from "../src/errors.ts";
import { DEFAULT_LIMITS } from "../src/limits.ts";
import { readPolicy } from "../src/policy.ts";
import { Queue } from "../src/queue.ts";
import { Snapshots } from "../src/snapshots.ts";
import { merge, seeded } from "./documents.ts";

function queueOf(doc = new Y.Doc()): Queue {
  const snapshots = new Snapshots();
  snapshots.watch(doc);
  const identity = { id: "ana", capabilities: null };
  const context = { doc, identity, limits: DEFAULT_LIMITS, snapshots, checkOpen: () => {} };
  return new Queue(context as unknown as Context);
}

const texts = (queue: Queue): string[] => queue.all.map(({ text }) => text);

test("what waits is edited, moved and taken out by everybody", () => {
  const [ours, theirs] = [new Y.Doc(), new Y.Doc()];
  const queue = queueOf(ours);
  const [first, second, third] = ["one", "two", "three"].map((text) => queue.add(text).id) as [
    string,
    string,
    string,
  ];
  merge(ours, theirs);
  const other = queueOf(theirs);
  queue.move(third, 0);
  other.text(third).insert(5, ", please");
  other.remove(second);
  merge(ours, theirs);

  expect(texts(queue)).toEqual(["three, please", "one"]);
  expect(other.all).toEqual(queue.all);
  expect(queue.all).toBe(queue.all);
  expect(queue.all[1]).toMatchObject({ id: first, author: "ana" });
  queue.remove(second);
  expect(() => queue.text(second)).toThrow("no prompt");
});

test("a prompt names who is asked", () => {
  const queue = queueOf();
  queue.add("fly", { to: ["flights"] });
  queue.add("go");

  expect(queue.all.map(({ to }) => to)).toEqual([["flights"], []]);
});

test("two who move the same prompt don't double it", () => {
  const [ours, theirs] = [new Y.Doc(), new Y.Doc()];
  const queue = queueOf(ours);
  const ids = ["a", "b", "c"].map((text) => queue.add(text).id) as [string, string, string];
  merge(ours, theirs);
  queue.move(ids[2], 0);
  queueOf(theirs).move(ids[2], 1);
  merge(ours, theirs);

  expect(texts(queue).toSorted()).toEqual(["a", "b", "c"]);
});

test("a moved prompt is where it was put, however often", () => {
  const random = seeded(7);
  const queue = queueOf();
  const order = ["a", "b", "c", "d"].map((text) => queue.add(text).id);
  for (let times = 0; times < 300; times += 1) {
    const id = order[random(4)] as string;
    const index = random(6) - 1;
    queue.move(id, index);
    order.splice(order.indexOf(id), 1);
    order.splice(Math.max(0, index), 0, id);
    expect(queue.all.map((entry) => entry.id)).toEqual(order);
  }
});

test("whatever somebody wrote is read", () => {
  const doc = new Y.Doc();
  const root = doc.getArray("queue");
  root.push([1, { id: 7 }, new Y.Map(Object.entries({ id: "q", text: 3, place: "far", to: "x" }))]);

  expect(queueOf(doc).all).toEqual([{ id: "q", author: "", text: "", to: [], createdAt: "" }]);
  expect(() => queueOf(doc).text("q")).toThrow("no text");
  for (const written of [undefined, 7, [], {}, { agents: 7, double_texting: "shout" }, { agents: [1, ""] }])
    expect(readPolicy(written)).toEqual({ agents: [], doubleTexting: "queue" });
  const policy = { agents: ["bot", "bot", 7], double_texting: "steer" };
  expect(readPolicy(policy)).toEqual({ agents: ["bot"], doubleTexting: "steer" });
  expect(readPolicy(policy)).toBe(readPolicy(policy));
});

test("a prompt with an id is added once, and another one under its id is a conflict", () => {
  const queue = queueOf();
  const prompt = queue.add("fly", { id: "p1" });
  expect(queue.add("fly", { id: "p1" })).toBe(prompt);
  expect(() => queue.add("swim", { id: "p1" })).toThrow(Conflict);
  expect([...queue]).toEqual([prompt]);
  expect(queue.get("p1")).toBe(prompt);
});
