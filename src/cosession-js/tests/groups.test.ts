/** The groups of a session: each has its values, finds them by id, iterates, and gives the Yjs type. */

import { beforeEach, expect, onTestFinished, test } from "vitest";
import * as Y from "yjs";
import {
  Conflict,
  connect,
  diff,
  Gone,
  InvalidValue,
  type JsonPatch,
  NotAllowed,
  NotFound,
  Position,
  type Session,
  type StateChange,
} from "../src/index.ts";
import { merge } from "./documents.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

/** A port on which nothing listens: these sessions stay alone. */
const NOWHERE = "http://127.0.0.1:9";

let ana: Session;

function alone(user: string): Session {
  const session = connect(NOWHERE, "trip", { participant: user, name: user });
  onTestFinished(() => session.close());
  return session;
}

beforeEach(() => {
  ana = alone("ana");
});

test("a group has all, get, iteration and the Yjs type", () => {
  const message = ana.send("hello");
  const prompt = ana.queue.add("next");
  ana.doc.getMap("runs").set("r1", new Y.Map(Object.entries({ agent: "bot", status: "running" })));
  ana.doc.getMap("agents").set("bot", new Y.Map(Object.entries({ name: "Bot" })));
  ana.doc.getMap("approvals").set("a1", new Y.Map(Object.entries({ question: "Book?" })));
  ana.doc.getMap("claims").set("door", { by: "ben", client: 7, epoch: 1 });
  const { agents, approvals, claims, messages, queue, runs } = ana;
  for (const [group, id] of [
    [messages, message.id],
    [queue, prompt.id],
    [runs, "r1"],
    [agents, "bot"],
    [approvals, "a1"],
    [claims, "door"],
  ] as const) {
    expect([...group]).toEqual(group.all);
    expect(group.get(id)).toBe(group.all[0]);
    expect(group.get("nothing")).toBeUndefined();
    expect(group.y).toBeInstanceOf(Y.AbstractType);
    expect(group.all).toBe(group.all);
  }
});

test("a message that is sent is returned, and is the one in the list", () => {
  const message = ana.send("Lisbon?", { metadata: { mood: "good" }, to: ["flights"], parent: "m0" });
  expect(message).toMatchObject({
    role: "user",
    text: "Lisbon?",
    author: "ana",
    verified: false,
    status: "complete",
    to: ["flights"],
    parent: "m0",
    metadata: { mood: "good" },
  });
  expect(ana.messages.get(message.id)).toBe(message);
  expect(ana.messages.edit(message, "Porto?")).toBe(ana.messages.all[0]);
  expect(ana.messages.all[0]).toMatchObject({ text: "Porto?", editedBy: "ana", metadata: { mood: "good" } });
  expect(ana.messages.all[0]?.metadata).toEqual(message.metadata);
});

test("a message that is sent again under its id is written once, and another one is a conflict", () => {
  const message = ana.send("hello", { id: "m1" });
  expect(ana.send("hello", { id: "m1" })).toBe(message);
  expect(() => ana.send("goodbye", { id: "m1" })).toThrow(Conflict);
  expect(ana.messages.all.length).toBe(1);
});

test("metadata that the session writes isn't the application's", () => {
  expect(() => ana.send("hello", { metadata: { status: "streaming" } })).toThrow(
    expect.objectContaining({ code: "value.invalid", path: "status" }),
  );
  expect(ana.messages.all).toEqual([]);
});

test("what isn't there is not found, with its kind and id", () => {
  for (const [kind, act] of [
    ["message", () => ana.messages.edit("x", "late")],
    ["message", () => ana.messages.remove({ id: "x" })],
    ["message", () => ana.messages.toPrompt({ until: "x" })],
    ["prompt", () => ana.queue.text("x")],
    ["prompt", () => ana.queue.move("x", 0)],
    ["approval", () => ana.approvals.edit("x", "limit", 1)],
  ] as const) {
    expect(act).toThrow(NotFound);
    expect(act).toThrow(expect.objectContaining({ kind, id: "x" }));
  }
  const { id } = ana.send("secret");
  ana.messages.remove(id);
  expect(() => ana.messages.edit(id, "late")).toThrow(Gone);
});

test("a prompt has what a model should read, with the names of people when it is asked for", () => {
  ana.doc.getMap("participants").set("ben", { name: "Ben" });
  const ben = alone("ben");
  const first = ben.send("by train");
  merge(ana.doc, ben.doc);
  ana.messages.remove(ana.send("taken back"));
  const grow = (status: string, to: string[]): void => {
    const metadata = new Y.Map<unknown>(Object.entries({ author: "bot", status, to }));
    const parts = Y.Array.from([new Y.Map(Object.entries({ type: "text", text: "words" }))]);
    const fields = { id: `m-${status}-${to.length}`, role: "assistant", metadata, parts };
    ana.doc.getArray("messages").push([new Y.Map<unknown>(Object.entries(fields))]);
  };
  grow("streaming", []);
  grow("complete", ["flights"]);
  const second = ana.send("or by car");
  ana.send("later");

  expect(ana.messages.toPrompt({ until: second.id }).map(({ text }) => text)).toEqual([
    "by train",
    "or by car",
  ]);
  expect(ana.messages.toPrompt()[0]).toBe(ana.messages.get(first.id));
  const named = ana.messages.toPrompt({ attributed: true, until: second.id });
  expect(named.map(({ parts }) => parts[0])).toMatchObject([
    { text: "Ben: by train" },
    { text: "ana: or by car" },
  ]);
});

test("several changes are one update, and an error in them reaches the caller", () => {
  let updates = 0;
  ana.doc.on("update", () => {
    updates += 1;
  });
  ana.transact(() => {
    ana.setTitle("Trip");
    ana.state.set("city", "Porto");
    ana.send("hello");
  });
  expect(updates).toBe(1);
  expect(() =>
    ana.transact(() => {
      throw new RangeError("no");
    }),
  ).toThrow(RangeError);
});

test("a shared text is changed by indexes, and by what it should say", () => {
  const text = ana.text("notes");
  text.append("one three");
  text.insert(4, "two ");
  text.replace(0, 3, "ONE");
  text.delete(7, 13);
  expect([String(text), text.length]).toEqual(["ONE two", 7]);
  expect(text.y).toBe(ana.doc.getText("text:notes"));
  const ben = alone("ben");
  merge(ana.doc, ben.doc);
  ben.text("notes").append(" three");
  text.set("one two");
  merge(ana.doc, ben.doc);
  expect(String(text)).toBe("one two three");
  for (const [start, end] of [
    [-1, 0],
    [2, 1],
    [0, 99],
    [0.5, 1],
  ] as const)
    expect(() => text.replace(start, end, "x")).toThrow(InvalidValue);
});

test("a position moves with the characters around it, also as JSON", () => {
  const text = ana.text("notes");
  text.append("to Lisbon");
  const [left, right] = [text.position(3), text.position(3, "right")];
  text.insert(3, "sunny ");
  expect([text.indexOf(left), text.indexOf(right)]).toEqual([3, 9]);
  const stored = JSON.parse(JSON.stringify(right));
  expect(text.indexOf(Position.from(stored))).toBe(9);
  expect(ana.text("other").indexOf(left)).toBeNull();
  expect(() => text.position(99)).toThrow(InvalidValue);
});

test("a text in the state is made once, and keeps the words that stood there", () => {
  ana.state.set("trip", { notes: "by train" });
  const text = ana.state.text("trip.notes");
  text.append(", soon");
  expect(ana.state.get("trip.notes")).toBe("by train, soon");
  expect(ana.state.text(["trip", "notes"]).y).toBe(text.y);
  ana.state.text("trip.more").append("new");
  expect(ana.state.value).toEqual({ trip: { notes: "by train, soon", more: "new" } });
  expect(() => ana.state.text("trip")).toThrow(InvalidValue);
});

test.each<[string, JsonPatch[], unknown]>([
  ["add", [{ op: "add", path: "/list/1", value: "x" }], { list: ["a", "x", "b"], map: { k: 1 } }],
  [
    "add at the end",
    [{ op: "add", path: "/list/-", value: { y: 1 } }],
    { list: ["a", "b", { y: 1 }], map: { k: 1 } },
  ],
  ["replace", [{ op: "replace", path: "/map/k", value: [2] }], { list: ["a", "b"], map: { k: [2] } }],
  [
    "replace in a list",
    [{ op: "replace", path: "/list/0", value: "c" }],
    { list: ["c", "b"], map: { k: 1 } },
  ],
  ["remove", [{ op: "remove", path: "/list/0" }], { list: ["b"], map: { k: 1 } }],
  ["move", [{ op: "move", from: "/map/k", path: "/k" }], { list: ["a", "b"], map: {}, k: 1 }],
  [
    "copy",
    [{ op: "copy", from: "/map", path: "/more" }],
    { list: ["a", "b"], map: { k: 1 }, more: { k: 1 } },
  ],
  ["test", [{ op: "test", path: "/map", value: { k: 1 } }], { list: ["a", "b"], map: { k: 1 } }],
  [
    "a key with slashes",
    [{ op: "add", path: "/a~1b~0c", value: 1 }],
    { list: ["a", "b"], map: { k: 1 }, "a/b~c": 1 },
  ],
  ["all of it", [{ op: "replace", path: "", value: { new: [1] } }], { new: [1] }],
  [
    "what an operation before it made",
    [
      { op: "add", path: "/made", value: {} },
      { op: "add", path: "/made/in", value: 1 },
    ],
    { list: ["a", "b"], map: { k: 1 }, made: { in: 1 } },
  ],
])("a patch can %s", (_name, operations, expected) => {
  ana.state.set("list", ["a", "b"]);
  ana.state.set("map", { k: 1 });
  ana.state.patch(operations);
  expect(ana.state.value).toEqual(expected);
});

test.each<[string, JsonPatch, unknown]>([
  ["a place that isn't there", { op: "replace", path: "/none/k", value: 1 }, InvalidValue],
  ["an index beyond the end", { op: "add", path: "/list/9", value: 1 }, InvalidValue],
  ["a removal of nothing", { op: "remove", path: "/none" }, InvalidValue],
  ["a test that fails", { op: "test", path: "/list/0", value: "b" }, Conflict],
  ["a move into itself", { op: "move", from: "/map", path: "/map/in" }, InvalidValue],
  ["a path that is none", { op: "remove", path: "list" }, InvalidValue],
  ["an unknown operation", { op: "swap", path: "/list" } as never, InvalidValue],
  ["what isn't JSON", { op: "add", path: "/x", value: Number.NaN }, InvalidValue],
])("a patch with %s changes nothing", (_name, last, error) => {
  ana.state.set("list", ["a"]);
  ana.state.set("map", { k: 1 });
  const before = Y.encodeStateAsUpdate(ana.doc);
  const patch = (): void => ana.state.patch([{ op: "add", path: "/first", value: 1 }, last]);
  expect(patch).toThrow(error as typeof Error);
  expect(Y.encodeStateAsUpdate(ana.doc)).toEqual(before);
});

test("a watched path tells its changes, several as one for a slow reader, and no others", async () => {
  ana.state.set("trip", { city: "Faro" });
  const changes = ana.state.watch("trip.city")[Symbol.asyncIterator]();
  const first = changes.next();
  ana.state.set("trip.day", "Monday");
  ana.state.set("trip.city", "Porto");
  expect((await first).value).toEqual({ path: "trip.city", before: "Faro", after: "Porto" });
  ana.state.set("trip.city", "Braga");
  ana.state.delete("trip");
  const second = (await changes.next()).value as StateChange;
  expect(second).toEqual({ path: "trip.city", before: "Porto", after: undefined });
  const last = changes.next();
  ana.close();
  expect(await last).toEqual({ done: true, value: undefined });
});

test("fields of presence are set together, and null removes one", () => {
  ana.presence.set({ typing: true, cursor: { x: 1 } });
  expect(ana.presence.mine).toEqual({ typing: true, cursor: { x: 1 } });
  const { mine } = ana.presence;
  ana.presence.set({ typing: true });
  expect(ana.presence.mine).toBe(mine);
  ana.presence.set({ typing: null });
  expect(ana.presence.mine).toEqual({ cursor: { x: 1 } });
  expect(ana.presence.all[0]).toMatchObject({
    user: { id: "ana", online: true },
    fields: { cursor: { x: 1 } },
  });
  for (const name of ["user", "visible", "tools", ""])
    expect(() => ana.presence.set({ [name]: 1 })).toThrow(InvalidValue);
});

test("a person that the session doesn't know has its id as its name", () => {
  const person = ana.people.get("cleo");
  expect(person).toMatchObject({ id: "cleo", name: "cleo", online: false, since: null, lastSeen: null });
  expect(ana.people.get("cleo")).toBe(person);
  expect(ana.people.online.map(({ id }) => id)).toEqual(["ana"]);
  expect(ana.me).toMatchObject({ id: "ana", online: true, capabilities: null });
  expect(ana.me).toBe(ana.me);
});

test("selections are cleared by name, and stay the same objects until one changes", () => {
  ana.selections.set("row", 3);
  const { mine } = ana.selections;
  expect(mine).toEqual({ row: 3 });
  ana.setTitle("other");
  expect(ana.selections.mine).toBe(mine);
  ana.selections.clear("row");
  expect([ana.selections.mine, ana.selections.get("ana", "row")]).toEqual([{}, undefined]);
});

test("the policy is the same object until it changes", () => {
  const { policy } = ana;
  expect(policy).toMatchObject({ agents: [], doubleTexting: "queue" });
  ana.setTitle("other");
  expect(ana.policy).toBe(policy);
  ana.doc.getMap("meta").set("policy", { agents: ["bot"], double_texting: "steer" });
  expect(ana.policy).toMatchObject({ agents: ["bot"], doubleTexting: "steer" });
  expect(policy.doubleTexting).toBe("queue");
});

test("a difference is the smallest replacement", () => {
  expect(diff("to Lisbon", "to Porto")).toEqual({ start: 3, end: 9, insert: "Porto" });
});

const WRITES: readonly (readonly [string, (session: Session) => unknown])[] = [
  ["prompt", (session) => session.send("hello")],
  ["prompt", (session) => session.queue.add("next")],
  ["title", (session) => session.setTitle("Trip")],
  ["state:trip/city", (session) => session.state.set("trip.city", "Porto")],
  ["state:trip/city", (session) => session.state.delete("trip.city")],
  ["state:trip/city", (session) => session.state.patch([{ op: "add", path: "/trip/city", value: 1 }])],
  ["count", (session) => session.counters.add("likes")],
  ["select", (session) => session.selections.set("row", 1)],
];

test("a write without its capability is refused at once, says what it needs, and writes nothing", async () => {
  const server = await TestServer.start();
  onTestFinished(() => server.end());
  server.grant = { id: "vic", name: "Vic", kind: "human", capabilities: ["read", "presence"], life: null };
  const vic = open(server.url, "trip", { participant: "vic" });
  await until(vic, () => vic.synced && vic.me.capabilities !== null);
  const before = Y.encodeStateAsUpdate(vic.doc);
  for (const [needed, write] of WRITES) {
    expect(() => write(vic)).toThrow(NotAllowed);
    expect(() => write(vic)).toThrow(expect.objectContaining({ needs: [needed] }));
  }
  expect(Y.encodeStateAsUpdate(vic.doc)).toEqual(before);
});
