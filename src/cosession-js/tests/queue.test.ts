/** The shared queue and the policy, as a page edits them and as it reads whatever is there. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import { DEFAULT_LIMITS } from "../src/limits.ts";
import { readPolicy } from "../src/policy.ts";
import { Queue } from "../src/queue.ts";
import { Snapshots } from "../src/snapshots.ts";
import { merge, seeded } from "./documents.ts";

function queueOf(doc = new Y.Doc()): Queue {
  const snapshots = new Snapshots();
  snapshots.watch(doc);
  return new Queue({ doc, me: { id: "ana" }, limits: DEFAULT_LIMITS }, snapshots, () => {});
}

const texts = (queue: Queue): string[] => queue.list.map(({ text }) => text);

test("what waits is edited, moved and taken out by everybody", () => {
  const [ours, theirs] = [new Y.Doc(), new Y.Doc()];
  const queue = queueOf(ours);
  const [first, second, third] = ["one", "two", "three"].map((text) => queue.add(text)) as [
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
  expect(other.list).toEqual(queue.list);
  expect(queue.list).toBe(queue.list);
  expect(queue.list[1]).toMatchObject({ id: first, author: "ana" });
  queue.remove(second);
  expect(() => queue.text(second)).toThrow("no prompt");
});

test("a prompt names who is asked", () => {
  const queue = queueOf();
  queue.add("fly", { to: ["flights"] });
  queue.add("go");

  expect(queue.list.map(({ to }) => to)).toEqual([["flights"], undefined]);
});

test("two who move the same prompt don't double it", () => {
  const [ours, theirs] = [new Y.Doc(), new Y.Doc()];
  const queue = queueOf(ours);
  const ids = ["a", "b", "c"].map((text) => queue.add(text)) as [string, string, string];
  merge(ours, theirs);
  queue.move(ids[2], 0);
  queueOf(theirs).move(ids[2], 1);
  merge(ours, theirs);

  expect(texts(queue).toSorted()).toEqual(["a", "b", "c"]);
});

test("a moved prompt is where it was put, however often", () => {
  const random = seeded(7);
  const queue = queueOf();
  const order = ["a", "b", "c", "d"].map((text) => queue.add(text));
  for (let times = 0; times < 300; times += 1) {
    const id = order[random(4)] as string;
    const index = random(6) - 1;
    queue.move(id, index);
    order.splice(order.indexOf(id), 1);
    order.splice(Math.max(0, index), 0, id);
    expect(queue.list.map((entry) => entry.id)).toEqual(order);
  }
});

test("whatever somebody wrote is read", () => {
  const doc = new Y.Doc();
  const root = doc.getArray("queue");
  root.push([1, { id: 7 }, new Y.Map(Object.entries({ id: "q", text: 3, place: "far", to: "x" }))]);

  expect(queueOf(doc).list).toEqual([{ id: "q", text: "", place: 0 }]);
  expect(() => queueOf(doc).text("q")).toThrow("no text");
  for (const written of [undefined, 7, [], {}, { agents: 7, double_texting: "shout" }, { agents: [1, ""] }])
    expect(readPolicy(written)).toEqual({ agents: [], double_texting: "queue" });
  const policy = { agents: ["bot", "bot", 7], double_texting: "steer" };
  expect(readPolicy(policy)).toEqual({ agents: ["bot"], double_texting: "steer" });
  expect(readPolicy(policy)).toBe(readPolicy(policy));
});
