/** What is written is JSON, or is refused before anything of it is in the session. */

import { beforeEach, expect, onTestFinished, test } from "vitest";
import * as Y from "yjs";
import { connect, InvalidValue, type Json, type JsonObject, type Session } from "../src/index.ts";
import { checked, MAX_DEPTH } from "../src/json.ts";
import { TestServer } from "./server.ts";
import { open } from "./sessions.ts";

/** A port on which nothing listens: these sessions stay alone. */
const NOWHERE = "http://127.0.0.1:9";

let ana: Session;

beforeEach(() => {
  ana = connect(NOWHERE, "trip", { participant: "ana" });
  onTestFinished(() => ana.close());
});

class Money {
  readonly amount = 5;
  toJSON(): string {
    return `${this.amount} EUR`;
  }
}

class Point {
  readonly x = 1;
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let count = 0; count < depth; count += 1) value = { d: value };
  return value;
}

function cyclic(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

const REFUSED: Readonly<Record<string, () => unknown>> = {
  NaN: () => Number.NaN,
  Infinity: () => Number.NEGATIVE_INFINITY,
  BigInt: () => 5n,
  function: () => () => 1,
  symbol: () => Symbol("x"),
  Map: () => new Map([["a", 1]]),
  Set: () => new Set([1]),
  RegExp: () => /x/g,
  Error: () => new Error("boom"),
  ArrayBuffer: () => new ArrayBuffer(2),
  Uint8Array: () => new Uint8Array(2),
  Promise: () => Promise.resolve(1),
  "an instance of a class": () => new Point(),
  "a boxed number": () => Object(5),
  "a hole in a list": () => Object.assign(Array(3), { 0: 1, 2: 3 }),
  "undefined in a list": () => [undefined],
  "a function deep inside": () => ({ a: [{ b: () => 1 }] }),
  "a key __proto__": () => JSON.parse('{"__proto__": {"a": 1}}'),
  "a key __proto__ deep inside": () => [{ a: JSON.parse('{"__proto__": 1}') }],
  "too deep": () => nested(MAX_DEPTH + 1),
  "far too deep": () => nested(10_000),
  "a cycle": cyclic,
  "a getter that throws": () => ({
    get a() {
      throw new InvalidValue("no");
    },
  }),
};

const CHANGED: readonly (readonly [string, unknown, Json])[] = [
  ["Date", new Date(0), "1970-01-01T00:00:00.000Z"],
  ["URL", new URL("http://a/"), "http://a/"],
  ["toJSON", { price: new Money() }, { price: "5 EUR" }],
  ["undefined in an object", { a: 1, b: undefined }, { a: 1 }],
  ["half of a pair", { "\ud83d": "a\udc00" }, { "\ufffd": "a\ufffd" }],
  [
    "no prototype",
    Object.assign(Object.create(null), { a: [1.5, -0, true, null, "x"] }),
    { a: [1.5, -0, true, null, "x"] },
  ],
];

const WAYS: Readonly<Record<string, (session: Session, value: Json) => unknown>> = {
  "state.set": (session, value) => session.state.set("a.b", value),
  "selections.set": (session, value) => session.selections.set("v", value),
  "metadata of a message": (session, value) => session.send("x", { metadata: { v: value } }),
  "a data part": (session, value) =>
    session.send([
      { type: "text", text: "first" },
      { type: "data-x", data: value },
    ]),
  "the input of a tool": (session, value) =>
    session.send([{ type: "tool-x", toolCallId: "1", state: "input-available", input: value }]),
  "the value of a vote": (session, value) => session.approvals.vote("a1", "approved", { value: value }),
  "presence.set": (session, value) => session.presence.set({ v: value }),
  "setValue of an approval": (session, value) => session.approvals.edit("a1", "v", value),
  "the schema of a tool": (session, value) =>
    session.tools.offer("t", { schema: { v: value } as JsonObject, call: () => 1 }),
};

function failedCall(fields: Readonly<Record<string, Json>>) {
  return { type: "tool-x", toolCallId: "1", state: "output-error", errorText: "no", ...fields };
}

function withApproval(session: Session): void {
  const approval = new Y.Map<unknown>([["value", new Y.Map()]]);
  session.doc.getMap("approvals").set("a1", approval);
}

for (const [way, write] of Object.entries(WAYS)) {
  test.each(Object.entries(REFUSED))(`${way} refuses %s, and writes nothing`, (_name, make) => {
    withApproval(ana);
    const before = Y.encodeStateAsUpdate(ana.doc);
    const said = ana.awareness.getLocalState();
    expect(() => write(ana, make() as Json)).toThrow(InvalidValue);
    expect(Y.encodeStateAsUpdate(ana.doc)).toEqual(before);
    expect(ana.awareness.getLocalState()).toBe(said);
  });
}

test.each(CHANGED)("%s is written as JSON has it", (_name, value, expected) => {
  expect(checked(value)).toEqual(expected);
  ana.state.set("v", value as Json);
  expect(ana.state.get("v")).toEqual(expected);
});

test.each<[string, (session: Session) => unknown]>([
  ["a text that is none", (session) => session.send(5 as unknown as string)],
  ["parts that are none", (session) => session.send([null] as never)],
  ["an empty id", (session) => session.send("x", { id: "" })],
  ["an unknown role", (session) => session.send("x", { role: "robot" as "user" })],
  ["metadata that is a Map", (session) => session.send("x", { metadata: new Map() as never })],
  ["a title that is a number", (session) => session.setTitle(5 as never)],
  [
    "a text to edit that is null",
    (session) => session.messages.edit(session.messages.all[0]?.id ?? "", null as never),
  ],
  ["a cancel of nothing", (session) => session.cancel("")],
  ["a reason that is an object", (session) => session.cancel("r1", { reason: {} as never })],
  ["a steer without a text", (session) => session.steer("r1", undefined as never)],
  ["a vote that is none", (session) => session.approvals.vote("a1", "maybe" as never)],
  ["a policy that is none", (session) => session.policy.set({ doubleTexting: "later" as never })],
  ["a prompt too long to be copied", (session) => session.queue.add("é".repeat(2 ** 21 + 1))],
  ["a prompt that is none", (session) => session.queue.add(5 as never)],
  ["agents that are none", (session) => session.queue.add("x", { to: [5 as never] })],
  ["an agent that is asked and isn't in a list", (session) => session.queue.add("x", { to: "ben" as never })],
  ["a message to an agent that isn't in a list", (session) => session.send("x", { to: "ben" as never })],
  ["agents of a message that are none", (session) => session.send("x", { to: [5 as never] })],
  [
    "the raw input of a call that is no text",
    (session) => session.send([failedCall({ rawInput: { a: 1 } })] as never),
  ],
  [
    "the error of a call that is no text",
    (session) => session.send([failedCall({ errorText: { a: 1 } })] as never),
  ],
  ["a path that is an object", (session) => session.state.set({ a: 1 } as never, 1)],
  ["a path with an object in it", (session) => session.state.set(["a", {} as never], 1)],
  ["a path with a hole in it", (session) => session.state.set(Array(2) as never, 1)],
  ["a text without a name", (session) => session.text("").insert(0, "x")],
  ["a text whose name is none", (session) => session.text(undefined as never).insert(0, "x")],
  ["a selection without a name", (session) => session.selections.set("", 1)],
  ["a counter without a name", (session) => session.counters.add("")],
  ["a counter that would overflow", (session) => session.counters.add("n", Number.MAX_VALUE)],
  ["a tool without a call", (session) => session.tools.offer("t", {} as never)],
  ["a path of 130 keys", (session) => session.state.set(Array(130).fill("d"), 1)],
  [
    "a path and a value that are too deep together",
    (session) => session.state.set(Array(40).fill("d"), nested(40) as Json),
  ],
  ["a path through __proto__", (session) => session.state.set("__proto__.a", 1)],
  ["a path through a text", (session) => session.state.set("text.a", 1)],
  ["a path through a number, below JSON", (session) => session.state.set("json.n.a", 1)],
  ["a path into a list beyond its end", (session) => session.state.set("list.7.a", 1)],
  ["a path into a list by a name", (session) => session.state.set("list.a.b", 1)],
])("%s is refused, and nothing is written", (_name, write) => {
  ana.send("first");
  ana.counters.add("n", Number.MAX_VALUE);
  ana.doc.getMap("state").set("text", new Y.Text("x"));
  ana.doc.getMap("state").set("json", { n: 1 });
  ana.state.set("list", [1]);
  const before = Y.encodeStateAsUpdate(ana.doc);
  expect(() => write(ana)).toThrow(InvalidValue);
  expect(Y.encodeStateAsUpdate(ana.doc)).toEqual(before);
});

test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, "1"])("%j is no place in the queue", (place) => {
  const ids = [ana.queue.add("x").id, ana.queue.add("y").id];
  expect(() => ana.queue.move(ids[1] as string, place as number)).toThrow(InvalidValue);
  expect(ana.queue.all.map(({ id }) => id)).toEqual(ids);
});

const LONG = "x".repeat(70_000);

test.each<[string, (session: Session) => unknown]>([
  ["a key of a path", (session) => session.state.set([LONG], 1)],
  ["a key on the way", (session) => session.state.set([LONG, "b"], 1)],
  ["a key of a value", (session) => session.state.set("a", { b: [{ [LONG]: 1 }] })],
  ["a key of a map in a value", (session) => session.state.set("a", { [LONG]: { b: 1 } })],
  ["a run to cancel", (session) => session.cancel(LONG)],
  ["a run to steer", (session) => session.steer(LONG, "x")],
  ["the id of a steer", (session) => session.steer("r1", "x", { id: LONG })],
  ["an approval", (session) => session.approvals.vote(LONG, "approved")],
  ["the name of a selection", (session) => session.selections.set(LONG, 1)],
  ["the name of a counter", (session) => session.counters.add(LONG)],
  ["the name of a text", (session) => session.text(LONG).insert(0, "x")],
  ["the name of a rich text", (session) => session.xml(LONG)],
])("%s that is too long for a frame is refused, and nothing is written", async (_name, write) => {
  const server = await TestServer.start();
  onTestFinished(() => server.end());
  server.grant = { id: "ana", name: "Ana", kind: "human", capabilities: ["admin"], life: null };
  server.limits = { frame_bytes: 65_536 };
  const session = open(server.url, "trip", { participant: "ana" });
  await session.waitSynced();
  expect(session.limits.frameBytes).toBe(65_536);
  const before = Y.encodeStateAsUpdate(session.doc);
  expect(() => write(session)).toThrow(InvalidValue);
  expect(Y.encodeStateAsUpdate(session.doc)).toEqual(before);
});

test.each(["participant", "name", "color", "kind", "rollupMs"])(
  "a %s that is a BigInt is refused",
  (field) => {
    expect(() => connect(NOWHERE, "trip", { participant: "ana", [field]: 5_000n } as never)).toThrow(
      InvalidValue,
    );
  },
);

test("a kind that doesn't exist is refused", () => {
  expect(() => connect(NOWHERE, "trip", { kind: "robot" as never })).toThrow(InvalidValue);
});

test("an invalid value says where it is", () => {
  const value = { hotel: { prices: [1, Number.NaN] } } as unknown as Json;
  expect(() => ana.state.set("trip", value)).toThrow(expect.objectContaining({ path: "hotel.prices.1" }));
});

test.each(["", ".", "..", 5])("%j is no id of a session", (id) => {
  expect(() => connect(NOWHERE, id as string)).toThrow(InvalidValue);
});

test("a claim without a key, or for no number of seconds, is refused", async () => {
  await expect(ana.claim("")).rejects.toBeInstanceOf(InvalidValue);
  await expect(ana.claim("k", { seconds: Number.NaN })).rejects.toBeInstanceOf(InvalidValue);
  expect(ana.doc.getMap("requests").size).toBe(0);
});

test("a message that is larger than a frame is refused with its size, and a state of many leaves isn't", () => {
  const photo = `data:image/jpeg;base64,${"A".repeat(14 * 2 ** 20)}`;
  const part = { type: "file" as const, mediaType: "image/jpeg", url: photo };
  ana.send(Array.from({ length: 5 }, () => part));
  expect(() => ana.send(Array.from({ length: 8 }, () => part))).toThrow(
    /bytes, and the server takes 100663296 at once/,
  );
  ana.state.set("photos", [photo, photo]);
  expect(ana.messages.all.length).toBe(1);
});

test("a single value that is larger than the server takes is refused, and the same in parts isn't", () => {
  const url = "é".repeat(9 * 2 ** 20);
  const points = Array.from({ length: 34_000 }, (_, x) => ({ x }));
  const size = /holds a value of about \d+ bytes, and the server takes 16777216/;
  expect(() => ana.state.set("photo", url)).toThrow(size);
  expect(() => ana.send([{ type: "file", mediaType: "image/jpeg", url }])).toThrow(size);
  expect(() => ana.selections.set("photo", url)).toThrow(size);
  const entries = /holds a value of 102000 keys and values, and the server takes 100000/;
  expect(() => ana.selections.set("points", points)).toThrow(entries);
  expect(() => ana.send([{ type: "data-points", data: points }])).toThrow(entries);
  expect([ana.messages.all.length, ana.selections.of("ana")]).toEqual([0, {}]);
  ana.state.set("points", points);
  ana.send([{ type: "text", text: url }]);
  ana.send([{ type: "data-points", data: points.slice(0, 30_000) }]);
  expect(ana.messages.all.length).toBe(2);
});

test("presence is measured in bytes of UTF-8, and what is too large is refused", () => {
  ana.presence.set({ selected: "🐙".repeat(1_400) });
  ana.presence.set({ selected: "漢".repeat(3_000) });
  expect(() => ana.presence.set({ selected: "x".repeat(80_000) })).toThrow(/presence has \d+ bytes/);
  expect(ana.presence.all[0]?.fields.selected).toBe("漢".repeat(3_000));
});

test("a tool that presence has no room for is refused, and those before it stay offered", () => {
  const schema = { description: "x".repeat(4_000) };
  const offer = (name: string) => ana.tools.offer(name, { schema, call: () => 1 });
  let count = 0;
  expect(() => {
    for (; count < 40; count += 1) offer(`tool_${count}`);
  }).toThrow(InvalidValue);
  expect(count).toBeGreaterThan(10);
  expect(ana.tools.all).toHaveLength(count);
});
