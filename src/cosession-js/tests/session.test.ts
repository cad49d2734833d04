/** What a session shows and writes, without any server: the document is the truth. */

import { beforeEach, expect, onTestFinished, test } from "vitest";
import * as Y from "yjs";
import { connect, type Message, type Part, type Session } from "../src/index.ts";
import { merge } from "./documents.ts";

/** A port on which nothing listens: these sessions stay alone. */
const NOWHERE = "http://127.0.0.1:9";

function open(user: string): Session {
  const session = connect(NOWHERE, "trip", { participant: user, name: user });
  onTestFinished(() => session.close());
  return session;
}

let ana: Session;

beforeEach(() => {
  ana = open("ana");
});

test("a message is written in the schema's shape", () => {
  const { id } = ana.send("Lisbon 🛫", { parent: "m0", metadata: { mood: "good" } });

  const message = ana.doc.getArray<Y.Map<unknown>>("messages").get(0);
  expect((message.get("parts") as Y.Array<Y.Map<unknown>>).get(0).get("text")).toBeInstanceOf(Y.Text);
  expect(message.toJSON()).toEqual({
    id,
    role: "user",
    parts: [{ type: "text", text: "Lisbon 🛫", state: "done" }],
    metadata: {
      author: "ana",
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      status: "complete",
      parent: "m0",
      mood: "good",
    },
  });
});

test("parts are written as they are given", () => {
  const file: Part = { type: "file", url: "https://example.com/a.png", mediaType: "image/png" };
  const tool: Part = {
    type: "tool-search",
    toolCallId: "1",
    state: "input-available",
    input: { city: "Porto" },
  };
  ana.send([{ type: "text", text: "look" }, file, tool]);

  expect(ana.messages.all[0]?.parts).toEqual([{ type: "text", text: "look", state: "done" }, file, tool]);
  expect(ana.messages.all[0]?.text).toBe("look");
});

test("a message arrives in one transaction, whole", () => {
  const seen: (readonly Message[])[] = [];
  ana.on("messages", (messages) => seen.push(messages));
  ana.send("hello");

  expect(seen).toEqual([[expect.objectContaining({ text: "hello" })]]);
});

test("only what changed is a new object", () => {
  const { id: first } = ana.send("one");
  const { id: second } = ana.send("two");
  const [one, two] = ana.messages.all;
  const before = ana.messages.all;

  ana.state.set("city", "Porto");
  expect(ana.messages.all).toBe(before);

  ana.messages.edit(second, "two!");
  expect(ana.messages.all).not.toBe(before);
  expect(ana.messages.all[0]).toBe(one);
  expect(ana.messages.all[1]).not.toBe(two);
  expect(ana.messages.all[1]).toMatchObject({
    id: second,
    text: "two!",
    editedAt: expect.any(String),
  });
  expect(ana.messages.all[0]?.id).toBe(first);
});

test("a growing text makes a new snapshot of its part and message, and of no other part", () => {
  ana.send([
    { type: "file", url: "u", mediaType: "m" },
    { type: "text", text: "a" },
  ]);
  const [file, text] = ana.messages.all[0]?.parts ?? [];
  const message = ana.doc.getArray<Y.Map<unknown>>("messages").get(0);
  const grown = (message.get("parts") as Y.Array<Y.Map<unknown>>).get(1).get("text") as Y.Text;

  grown.insert(1, "b");
  expect(ana.messages.all[0]?.text).toBe("ab");
  expect(ana.messages.all[0]?.parts[0]).toBe(file);
  expect(ana.messages.all[0]?.parts[1]).not.toBe(text);
});

test("a listener in the same transaction never reads what was before", () => {
  const id = ana.send("one");
  let seen = "";
  ana.doc.getArray("messages").observeDeep(() => {
    seen = ana.messages.all[0]?.text ?? "";
  });
  ana.doc.transact(() => {
    ana.messages.edit(id, "two");
    expect(ana.messages.all[0]?.text).toBe("two");
    ana.messages.edit(id, "three");
  });

  expect(seen).toBe("three");
  expect(ana.messages.all[0]?.text).toBe("three");
});

test("what a foreign client wrote wrongly is left out, and harms nothing", () => {
  const messages = ana.doc.getArray<unknown>("messages");
  messages.push([1, "text", null, { id: "plain", role: "user" }, new Y.Map([["id", "no role"]])]);
  ana.send("fine");

  expect(ana.messages.all.map(({ id, text }) => [id, text])).toEqual([
    ["plain", ""],
    [ana.messages.all[1]?.id, "fine"],
  ]);
});

test("a removed message stays in its place, empty and marked", () => {
  const { id } = ana.send("secret");
  ana.send("next");
  ana.messages.remove(id);

  expect(ana.messages.all[0]).toMatchObject({ id, text: "", parts: [], deleted: true });
  expect(ana.messages.all.length).toBe(2);
  expect(() => ana.messages.edit(id, "again")).toThrow("is deleted");
  expect(() => ana.messages.edit("nobody", "again")).toThrow("has no message nobody");
});

test("edits of two people in one message merge", () => {
  const ben = open("ben");
  const id = ana.send("two nights in Lisbon");
  merge(ana.doc, ben.doc);
  ana.messages.edit(id, "three nights in Lisbon");
  ben.messages.edit(id, "two nights in Porto");
  merge(ana.doc, ben.doc);

  expect(ana.messages.all[0]?.text).toBe("three nights in Porto");
  expect(ben.messages.all[0]?.text).toBe("three nights in Porto");
});

test("runs come oldest first, and the active ones by themselves", () => {
  const runs = ana.doc.getMap<unknown>("runs");
  const add = (id: string, status: string, started_at: string): void => {
    runs.set(id, new Y.Map(Object.entries({ id, agent: "guide", status, started_at })));
  };
  add("r2", "running", "2026-01-02T00:00:00Z");
  add("r1", "complete", "2026-01-01T00:00:00Z");
  add("r3", "suspended", "2026-01-03T00:00:00Z");

  expect(ana.runs.all.map(({ id }) => id)).toEqual(["r1", "r2", "r3"]);
  expect(ana.runs.active.map(({ id }) => id)).toEqual(["r2", "r3"]);

  const [r1] = ana.runs.all;
  (runs.get("r2") as Y.Map<unknown>).set("status", "complete");
  expect(ana.runs.all[0]).toBe(r1);
  expect(ana.runs.active.map(({ id }) => id)).toEqual(["r3"]);
  expect(ana.runs.active).toBe(ana.runs.active);
});

test("agents have their id", () => {
  ana.doc
    .getMap<unknown>("agents")
    .set("guide", new Y.Map(Object.entries({ name: "Guide", status: "idle" })));
  expect(ana.agents.all).toMatchObject([{ id: "guide", name: "Guide", status: "idle" }]);
});

test("cancel and steer are asked for under one's own keys", () => {
  const pia = open("pia & co");
  pia.cancel("r/1", { reason: "too slow" });
  const { id } = pia.steer("r/1", "by train");

  expect(pia.doc.getMap("requests").toJSON()).toEqual({
    "cancel/r%2F1/pia%20%26%20co": { reason: "too slow" },
    [`steer/r%2F1/${id}/pia%20%26%20co`]: { text: "by train" },
  });
});

test("state is read and written by path", () => {
  ana.state.set("trip.hotel", { name: "Alma", stars: 4 });
  ana.state.set(["trip", "by.car"], false);
  ana.state.set("trip.stops", ["Lisbon", "Porto"]);
  ana.state.set("trip.stops.2", "Braga");
  ana.state.set("trip.stops.0", "Sintra");
  const hotel = ana.state.get("trip.hotel");
  expect(ana.state.delete("trip.hotel.stars")).toBe(true);
  expect(ana.state.delete("nothing.there")).toBe(false);

  expect(hotel).toEqual({ name: "Alma", stars: 4 });
  expect(ana.state.value).toEqual({
    trip: { hotel: { name: "Alma" }, "by.car": false, stops: ["Sintra", "Porto", "Braga"] },
  });
  expect(ana.state.get("trip.stops.1")).toBe("Porto");
  expect(ana.state.get("trip.nothing.there")).toBeUndefined();
  expect(() => ana.state.set("trip.by", "car")).not.toThrow();
  expect(() => ana.state.set("trip.by.whom", "Ana")).toThrow("not an object");
});

test("writing the value that is there already is no edit", () => {
  ana.state.set("city", "Porto");
  let updates = 0;
  ana.doc.on("update", () => {
    updates += 1;
  });
  ana.state.set("city", "Porto");
  ana.setTitle("");
  expect(updates).toBe(0);
});

test("state that didn't change is the same object", () => {
  ana.state.set("a", { deep: 1 });
  ana.state.set("b", { deep: 2 });
  const [a, b] = [ana.state.get("a"), ana.state.get("b")];
  ana.state.set("b.deep", 3);
  expect(ana.state.get("a")).toBe(a);
  expect(ana.state.get("b")).not.toBe(b);
});

test("what many pages of one person count at once adds up, and a counter of another client's making counts too", () => {
  const other = open("ana");
  for (const page of [ana, other, ana]) page.counters.add("likes");
  other.counters.add("likes", -0.5);
  ana.doc.getMap("counters").set("likes/ben%2F2", 4);
  ana.doc.getMap("counters").set("likes/eve", "a lot");
  merge(ana.doc, other.doc);

  expect(ana.counters.get("likes")).toBe(6.5);
  expect(other.counters.all).toEqual({ likes: 6.5 });
  expect(other.counters.all).toBe(other.counters.all);
  expect(ana.counters.get("toString")).toBe(0);
  expect(() => ana.counters.add("likes", Number.NaN)).toThrow("numbers");
});

test("a steer has an id of its own, or the one that it is given", () => {
  const requests = ana.doc.getMap("requests");
  const { id: first } = ana.steer("r1", "by train");
  ana.steer("r1", "by train", { id: "once" });
  ana.steer("r1", "by train", { id: "once" });

  expect([...requests.keys()].sort()).toEqual([`steer/r1/${first}/ana`, "steer/r1/once/ana"].sort());
});

test("selections belong to the participant who made them", () => {
  const ben = open("ben/2");
  ana.selections.set("hotel", { id: 7 });
  ben.selections.set("hotel", "none");
  ben.selections.set("day/1", [1, 2]);
  merge(ana.doc, ben.doc);

  expect(ana.selections.get("ben/2", "hotel")).toBe("none");
  expect(ana.selections.of("ben/2")).toEqual({ hotel: "none", "day/1": [1, 2] });
  ana.selections.set("hotel", null);
  expect(ana.selections.of("ana")).toEqual({});
});

test("a page writes nothing by itself: it never seeds a document", () => {
  expect(Y.encodeStateAsUpdate(ana.doc)).toEqual(Y.encodeStateAsUpdate(new Y.Doc()));
  ana.setTitle("Summer");
  expect(ana.doc.getMap("meta").toJSON()).toEqual({ title: "Summer" });
});

test("shared texts are roots, the same for everybody", () => {
  const ben = open("ben");
  ana.text("notes").insert(0, "tea");
  ben.text("notes").insert(0, "milk ");
  merge(ana.doc, ben.doc);

  expect(ana.text("notes").toString()).toBe(ben.text("notes").toString());
  expect(ana.text("notes").length).toBe(8);
  expect(ana.xml("plan").y).toBe(ana.doc.getXmlFragment("xml:plan"));
});

test("events tell what changed, until they are turned off", () => {
  const told: string[] = [];
  const names = [
    "messages",
    "runs",
    "agents",
    "state",
    "selections",
    "counters",
    "title",
    "change",
    "saved",
  ] as const;
  const offs = names.map((name) => ana.on(name, () => told.push(name)));
  ana.state.set("a", 1);
  ana.setTitle("Summer");
  ana.selections.set("hotel", 1);
  ana.counters.add("likes");
  for (const off of offs) off();
  ana.state.set("a", 2);

  expect(told).toEqual([
    "saved",
    "state",
    "change",
    "title",
    "change",
    "selections",
    "change",
    "counters",
    "change",
  ]);
});

test("who one is comes from the options, else from the token, else is made up", () => {
  const claims = Buffer.from(JSON.stringify({ sub: "zoë", name: "Zoë" })).toString("base64url");
  const token = `x.${claims}.y`;
  const identified = (options: Parameters<typeof connect>[2]): Session["me"] => {
    const session = connect(NOWHERE, "trip", options);
    onTestFinished(() => session.close());
    return session.me;
  };

  expect(identified({ token })).toMatchObject({ id: "zoë", name: "Zoë", kind: "human" });
  expect(identified({ token, participant: "ana", kind: "operator" })).toMatchObject({
    id: "ana",
    kind: "operator",
  });
  expect(identified({}).id).toMatch(/^guest-[0-9a-f]{24}$/);
  expect(identified({ token: "opaque" })).toMatchObject({ id: "", name: "" });
  expect(identified({ token: () => "later", name: "Ana" })).toMatchObject({ id: "", name: "Ana" });
  expect(identified({ participant: "ana" }).color).toBe(identified({ participant: "ana" }).color);
});

test("a text that a foreign client wrote as a plain string is edited, not doubled", () => {
  const part = new Y.Map<unknown>(Object.entries({ type: "text", text: "two nights" }));
  const message = new Y.Map<unknown>(Object.entries({ id: "m1", role: "user" }));
  message.set("metadata", new Y.Map());
  message.set("parts", Y.Array.from([part]));
  ana.doc.getArray("messages").push([message]);
  ana.messages.edit("m1", "three nights");

  expect(ana.messages.all[0]?.text).toBe("three nights");
  expect(part.get("text")).toBeInstanceOf(Y.Text);
});
