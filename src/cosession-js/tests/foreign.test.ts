/** What others wrote wrongly is left out or mended, and what we write is what every client can read. */

import { beforeEach, expect, onTestFinished, test } from "vitest";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { connect, type Session } from "../src/index.ts";
import { shared } from "../src/shared.ts";

let ana: Session;

beforeEach(() => {
  ana = connect("http://127.0.0.1:9", "trip", { participant: "ana" });
  onTestFinished(() => ana.close());
});

function here(state: unknown): void {
  const other = new Awareness(new Y.Doc());
  onTestFinished(() => other.destroy());
  other.setLocalState(state as Record<string, unknown>);
  applyAwarenessUpdate(ana.awareness, encodeAwarenessUpdate(other, [other.clientID]), "test");
}

/** The fields of a message that says nothing. */
const NOTHING = {
  author: null,
  verified: false,
  status: "complete",
  createdAt: null,
  run: null,
  parent: null,
  to: [],
  editedAt: null,
  editedBy: null,
  deleted: false,
  refused: null,
  seq: null,
};

test("parts and metadata of a message are as their types say", () => {
  const parts = [null, "text", 7, {}, { type: 3 }, { type: "text", text: 5 }, { type: "text", text: "b" }];
  const metadata = { author: 5, status: "odd", deleted: "yes", run: "r1", mood: 3 };
  ana.doc.getArray("messages").push([shared({ id: "m", role: "user", parts, metadata, stamp: [] })]);

  expect(ana.messages.all).toEqual([
    {
      id: "m",
      role: "user",
      text: "b",
      parts: [{ type: "text" }, { type: "text", text: "b" }],
      metadata: { mood: 3 },
      ...NOTHING,
      deleted: true,
      run: "r1",
    },
  ]);
});

test("a message without the parts or the metadata of one has none", () => {
  ana.doc.getArray("messages").push([{ id: "m", role: "user", parts: "x", metadata: 5 }]);
  expect(ana.messages.all).toEqual([
    { id: "m", role: "user", text: "", parts: [], metadata: {}, ...NOTHING },
  ]);
});

test("runs and agents are as their types say", () => {
  const steer = { id: "s", by: "ana", text: "go", at: "t" };
  const odd = {
    started_at: 4,
    messages: "m",
    steers: 5,
    seen: [1, "s"],
    progress: 3,
    cancel: "x",
    steps: {},
  };
  ana.doc.getMap("runs").set("odd", shared(odd));
  ana.doc
    .getMap("runs")
    .set(
      "fine",
      shared({ agent: "guide", steers: [null, steer, { id: "half" }, { ...steer, at: "again" }] }),
    );
  ana.doc.getMap("runs").set("list", shared([1]));
  ana.doc.getMap("agents").set("guide", shared({ name: 5, task: null }));

  expect(ana.runs.all).toMatchObject([
    { id: "fine", agent: "guide", steers: [steer], seen: [] },
    {
      id: "odd",
      agent: "",
      startedAt: "",
      messages: [],
      steers: [],
      seen: ["s"],
      progress: null,
      cancel: null,
    },
  ]);
  expect(ana.agents.all).toEqual([
    { id: "guide", name: "guide", status: "idle", task: null, progress: null, run: null },
  ]);
});

test("presence has a user with an id, and nobody else", () => {
  here({ user: "ben" });
  here({ user: { id: 5 } });
  here({ user: { name: "nobody" } });
  here("ben");
  here([1]);
  here({ user: { id: "cleo", name: 4 }, typing: true });

  expect(ana.presence.others).toMatchObject([
    {
      user: { id: "cleo", name: "Guest", kind: "human", color: expect.stringMatching(/^#/), devices: 1 },
      visible: null,
      fields: { typing: true },
    },
  ]);
});

test("selections with odd keys are read as well as can be", () => {
  const selections = ana.doc.getMap("selections");
  for (const key of ["ben/100%", "ben/%ff", "ben/a/b", "ben", "b%65n/x%20y"]) selections.set(key, 1);
  expect(ana.selections.of("ben")).toEqual({ "100%": 1, "\ufffd": 1, "x y": 1 });
});

test.each(["a..b", ".a", "a.", "", ["a", ""], []])("a path with an empty key (%j) is refused", (path) => {
  expect(() => ana.state.set(path as string, 1)).toThrow("path");
  expect(() => ana.state.delete(path)).toThrow("path");
});

test.each([
  [[]],
  [[{ type: "bogus" }]],
  [[{ text: "no type" }]],
  [[{ type: "tool-" }]],
  [[{ type: "data-" }]],
  [[{ type: "file", url: "u" }]],
  [[{ type: "text", text: 5 }]],
  [[{ type: "text", text: null }]],
  [[{ type: "text", text: "a", state: "odd" }]],
  [[{ type: "tool-x", toolCallId: "1", state: "odd" }]],
  [[{ type: "steering-message", id: "1" }]],
])("parts that Python would refuse are refused: %j", (parts) => {
  expect(() => ana.send(parts as never)).toThrow("part");
  expect(ana.messages.all).toEqual([]);
});

test("half of a surrogate pair becomes what the others read, at once", () => {
  const [half, whole] = ["a\ud800", "a\ufffd"];
  ana.state.set([half], { [half]: [half] });
  ana.selections.set("x", { y: half });
  ana.presence.set({ cursor: [half] });
  ana.send([{ type: "data-x", data: { y: half } }], { metadata: { mood: half } });

  expect(ana.state.value).toEqual({ [whole]: { [whole]: [whole] } });
  expect(ana.state.get([half])).toEqual({ [whole]: [whole] });
  expect(ana.selections.of("ana")).toEqual({ x: { y: whole } });
  expect(ana.presence.all[0]?.fields.cursor).toEqual([whole]);
  expect(ana.messages.all[0]).toMatchObject({ parts: [{ data: { y: whole } }], metadata: { mood: whole } });
});

test("null takes a field of presence away", () => {
  ana.presence.set({ typing: true });
  ana.presence.set({ typing: null });
  expect(ana.presence.all[0]?.fields).toEqual({});
});

test.each([1, -1])("counters whose sum no number holds stop at the largest one, with sign %i", (sign) => {
  const root = ana.doc.getMap("counters");
  for (const device of ["c", "a", "b"]) root.set(`n/ben/${device}`, sign * Number.MAX_VALUE);
  expect(ana.counters.get("n")).toBe(sign * Number.MAX_VALUE);
});

test("shares of a counter are added in the order of their keys, as in Python", () => {
  const root = ana.doc.getMap("counters");
  for (const [device, share] of [
    ["c", 1],
    ["b", -1e16],
    ["a", 1e16],
  ] as const)
    root.set(`n/ben/${device}`, share);
  expect(ana.counters.get("n")).toBe(1);
});
