/** Refusals of what was written: the page goes on with the server's document, and tells what was lost, with the text. */

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as Y from "yjs";
import { connect, type Refusal, type Session, WriteRefused } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { eventually, open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
  server.forbidden = (doc) => JSON.stringify(doc.getArray("messages").toJSON()).includes("forbidden");
});

afterEach(async () => {
  await server.end();
});

function join(user: string, offline = false): Session {
  return open(server.url, "trip", { participant: user, name: user, offline });
}

function texts(session: Session): string[] {
  return session.messages.all.map(({ text }) => text);
}

function loss(session: Session): Promise<Refusal> {
  return new Promise((resolve) => {
    const off = session.on("refused", (told) => {
      off();
      resolve(told);
    });
  });
}

test("a refused message is told as lost, with its text, and the session goes on", async () => {
  const [ana, ben] = [join("ana"), join("ben")];
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  ana.send("fine 🌊");
  await until(ben, () => ben.messages.all.length === 1);
  ben.send("hello");
  await until(ana, () => ana.messages.all.length === 2);
  const told = loss(ana);
  ana.send("forbidden 🦑 words");

  expect(await told).toEqual({
    code: "auth.forbidden",
    close: 4403,
    reason: "You may not write this.",
    touched: "messages/*",
    lost: ["forbidden 🦑 words"],
    update: expect.any(Uint8Array),
    final: false,
  });
  expect(ana.status).toBe("online");
  expect(texts(ana)).toEqual(["fine 🌊", "hello"]);
  ana.send("again");
  await ana.waitSaved();
  await until(ben, () => ben.messages.all.length === 3);
  expect(texts(ben)).toEqual(["fine 🌊", "hello", "again"]);
  expect(JSON.stringify(server.doc.getArray("messages").toJSON())).not.toContain("forbidden");
});

test("what was written before and after the refused edit, and was saved by none, is lost too; the rest isn't", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  ana.send("kept");
  await ana.waitSaved();
  const told = loss(ana);
  ana.messages.edit(ana.messages.all[0]?.id ?? "", "kept, and forbidden");
  ana.send("written behind it");
  ana.state.set("trip.city", "Lisbon");
  ana.setTitle("A title");
  ana.steer("r1", "by train");
  ana.messages.remove(ana.send("written and taken back"));

  const { lost } = await told;
  expect([...lost].sort()).toEqual(
    [", and forbidden", "A title", "Lisbon", "by train", "written behind it"].sort(),
  );
  expect(texts(ana)).toEqual(["kept"]);
  expect(ana.state.get("trip.city")).toBeUndefined();
});

test("neither a value that its writer had set back is lost, nor an entry of a list that was saved", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  ana.state.set("trip", { city: "Faro", day: "Monday" });
  ana.setTitle("A trip");
  const stops = new Y.Array<string>();
  ana.doc.getMap("state").set("stops", stops);
  stops.push(["Porto"]);
  await ana.waitSaved();
  const told = loss(ana);
  ana.send("forbidden");
  stops.push(["Braga"]);
  for (const [city, day, title] of [
    ["Lisbon", "Friday", "Another"],
    ["Faro", "Sunday", "A trip"],
  ] as const) {
    ana.state.set("trip.city", city);
    ana.state.set("trip.day", day);
    ana.setTitle(title);
  }

  expect([...(await told).lost].sort()).toEqual(["Braga", "Sunday", "forbidden"]);
});

test("who waits for the refused edit to be saved is told that it won't be", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  ana.send("forbidden");
  await expect(ana.waitSaved()).rejects.toBeInstanceOf(WriteRefused);
  expect(ana.saved).toBe(true);
});

test("views, listeners and presence go on with the fresh document", async () => {
  const [ana, ben] = [join("ana"), join("ben")];
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  ana.presence.set({ typing: true });
  ben.send("from Ben");
  ben.state.set("city", "Porto");
  ben.setTitle("Trip");
  await until(ana, () => ana.title === "Trip");
  const { doc, awareness, state, selections } = ana;
  const seen: string[][] = [];
  const docs: Y.Doc[] = [];
  ana.on("messages", (messages) => seen.push(messages.map(({ text }) => text)));
  ana.on("doc", (fresh) => docs.push(fresh));
  ana.send("forbidden");
  await loss(ana);

  expect(docs).toEqual([ana.doc]);
  expect(ana.doc).not.toBe(doc);
  expect(ana.doc.clientID).not.toBe(doc.clientID);
  expect(ana.awareness).not.toBe(awareness);
  expect(seen.at(-1)).toEqual(["from Ben"]);
  expect(state.get("city")).toBe("Porto");
  state.set("city", "Faro");
  selections.set("day", 2);
  ben.send("more");
  await until(ana, () => ana.messages.all.length === 2);
  await until(ben, () => ben.state.get("city") === "Faro" && ben.selections.get("ana", "day") === 2);
  await until(ben, () => ben.presence.others.length === 1 && ben.presence.others[0]?.fields.typing === true);
  expect(ben.presence.others[0]?.client).toBe(ana.doc.clientID);
  expect(seen.at(-1)).toEqual(["from Ben", "more"]);
});

test("what is written until the server's document is here is lost too, and what is said in presence isn't", async () => {
  const [ana, ben] = [join("ana"), join("ben")];
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  const told = loss(ana);
  ana.on("status", (status) => {
    if (status !== "connecting") return;
    ana.send("meanwhile");
    ana.presence.set({ mood: "fine" });
  });
  ana.send("forbidden");

  expect((await told).lost).toEqual(["forbidden", "meanwhile"]);
  await until(ben, () => ben.presence.others.some(({ fields }) => fields.mood === "fine"));
  expect(ben.presence.others.map(({ client }) => client)).toEqual([ana.doc.clientID]);
});

test("nothing flickers: until the server's document is here, the old one is shown", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  ana.send("kept");
  await ana.waitSaved();
  const counts: number[] = [];
  for (const event of ["messages", "change", "status", "saved", "synced", "doc"] as const)
    ana.on(event, () => counts.push(ana.messages.all.length));
  ana.send("forbidden");
  await loss(ana);
  expect(Math.min(...counts)).toBe(1);
});

test("the copy in the browser is dropped with what was refused, and doesn't bring it back", async () => {
  await server.stop();
  const before = connect(server.url, "trip", { participant: "ana", offline: true });
  before.send("fine, from the tunnel");
  before.send("forbidden, from the tunnel");
  await until(before, () => before.status === "offline");
  before.close();
  await server.restart();

  const after = open(server.url, "trip", { participant: "ana", offline: true });
  const { lost } = await loss(after);
  expect([...lost].sort()).toEqual(["fine, from the tunnel", "forbidden, from the tunnel"]);
  after.send("kept offline");
  await after.waitSaved();
  await eventually(async () => expect(await stored("trip")).toBeGreaterThan(0));
  after.close();
  await server.stop();

  const later = open(server.url, "trip", { participant: "ana", offline: true });
  await until(later, () => later.messages.all.length > 0);
  expect(texts(later)).toEqual(["kept offline"]);
  await server.restart();
  await later.waitSaved();
  expect(later.error).toBeNull();
});

test("what another tab kept in the browser before it was gone isn't dropped with what was refused", async () => {
  const tab = join("ana", true);
  await tab.waitSynced();
  await server.stop();
  const other = connect(server.url, "trip", { participant: "ana", offline: true });
  await until(other, () => other.copy === "kept");
  other.send("of a tab that is gone");
  other.close();
  tab.send("forbidden");
  await server.restart();
  tab.reconnect();
  expect((await loss(tab)).lost).toEqual(["forbidden"]);
  await eventually(() => expect(texts(tab)).toEqual(["of a tab that is gone"]));
  await tab.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

/** How many updates the browser's copy of Ana's session holds. */
async function stored(session: string): Promise<number> {
  const names = (await indexedDB.databases()).flatMap(({ name }) =>
    name?.includes(`:${session}:`) ? [name] : [],
  );
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const opening = indexedDB.open(names[0] ?? "");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  const counting = database.transaction(["updates"]).objectStore("updates").count();
  return new Promise((resolve) => {
    counting.onsuccess = () => {
      database.close();
      resolve(counting.result);
    };
  });
}

test("an application that writes the same again and again is stopped, and told what is lost", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  const told: Refusal[] = [];
  ana.on("refused", (each) => {
    told.push(each);
    if (!each.final) ana.send("forbidden");
  });
  ana.send("forbidden");
  await until(ana, () => ana.status === "closed");

  expect(told.length).toBe(9);
  expect(told.at(-1)).toMatchObject({ final: true, lost: ["forbidden"] });
  expect(ana.error).toMatchObject({ close: 4403, lost: ["forbidden"] });
});

test("who is shut out altogether after a refused edit is told what is lost", async () => {
  const [ana, ben] = [join("ana"), join("ben")];
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  ana.send("saved");
  await ana.waitSaved();
  ben.send("of another");
  await until(ana, () => ana.messages.all.length === 2);
  server.refusal = { code: 4403, close: "You have been removed." };
  const told = loss(ana);
  ana.send("forbidden");

  expect(await told).toMatchObject({ final: true, lost: ["forbidden"] });
  expect(ana.status).toBe("closed");
  expect(ana.error).toMatchObject({ message: "You have been removed." });
});

test("who is shut out altogether is told also what an earlier load of the page had left in this browser", async () => {
  await server.stop();
  const before = connect(server.url, "shut", { participant: "ana", offline: true });
  before.send("forbidden, from the tunnel");
  await until(before, () => before.status === "offline");
  before.close();
  server.forbidden = () => {
    server.refusal = { code: 4403, close: "You have been removed." };
    return true;
  };
  await server.restart();

  const after = open(server.url, "shut", { participant: "ana", offline: true });
  expect(await loss(after)).toMatchObject({ final: true, lost: ["forbidden, from the tunnel"] });
});

/** Ana, who has seen words of Ben's, who is gone; and what a server has that didn't save the last of them. */
async function withWordsOfBen() {
  const [ana, ben] = [join("ana"), join("ben")];
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  ben.text("notes").insert(0, "kept, ");
  await ben.waitSaved();
  const kept = Y.encodeStateAsUpdate(server.doc);
  ben.text("notes").insert(6, "forbidden");
  await until(ana, () => String(ana.text("notes")) === "kept, forbidden");
  ben.close();
  return { ana, kept };
}

test("who only saw what a crash took from the server goes on with the server's document, and has lost nothing", async () => {
  const { ana, kept } = await withWordsOfBen();
  const told = vi.fn();
  ana.on("refused", told);
  server.forbidden = (doc) => String(doc.getText("text:notes")).includes("forbidden");
  await server.crash(kept);

  await until(ana, () => ana.status === "closed" || String(ana.text("notes")) === "kept, ");
  expect(ana.status).toBe("online");
  expect(told).not.toHaveBeenCalled();
  ana.text("notes").insert(6, "and on");
  await ana.waitSaved();
  expect(String(server.doc.getText("text:notes"))).toBe("kept, and on");
});

test("of what a crash took from the server, a page is told only what was written in it as lost", async () => {
  const { ana, kept } = await withWordsOfBen();
  server.holding = true;
  ana.text("notes").insert(0, "own, ");
  const told = loss(ana);
  server.forbidden = (doc) => String(doc.getText("text:notes")).includes("forbidden");
  await server.crash(kept);

  expect(await told).toMatchObject({ lost: ["own, "], final: false });
  expect(String(ana.text("notes"))).toBe("kept, ");
});

test("what the server had answered when a crash took the answer is asked again, and what was stored isn't", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  const { runs, approvals, requests } = roots(server.doc);
  const steers = new Y.Array<unknown>();
  runs.set("r1", new Y.Map<unknown>([["steers", steers]]));
  const votes = new Y.Map<unknown>();
  approvals.set("a1", new Y.Map<unknown>([["votes", votes]]));
  approvals.set("a2", new Y.Map<unknown>([["votes", new Y.Map()]]));
  ana.steer("r1", "stored", { id: "s1" });
  await ana.waitSaved();
  requests.clear();
  const kept = Y.encodeStateAsUpdate(server.doc);
  server.holding = true;
  ana.steer("r1", "by train", { id: "s2" });
  ana.cancel("r2", { reason: "too dear" });
  ana.approvals.vote("a1", "approved");
  ana.approvals.vote("a2", "approved");
  await eventually(() => expect(requests.size).toBe(4));
  server.doc.transact(() => {
    requests.clear();
    steers.push([{ id: "s2", by: "ana", text: "by train", at: "t" }]);
    votes.set("ana", { decision: "approved", value: "Faro" });
  });
  await until(ana, () => roots(ana.doc).requests.size === 0);
  server.holding = false;
  server.forbidden = (doc) => JSON.stringify(doc.getMap("runs").toJSON()).includes("by train");
  const told = loss(ana);
  await server.crash(kept);

  expect((await told).lost).toEqual([]);
  await ana.waitSaved();
  expect(roots(server.doc).requests.toJSON()).toEqual({
    "steer/r1/s2/ana": { text: "by train" },
    "cancel/r2/ana": { reason: "too dear" },
    "vote/a1/ana": { decision: "approved", value: "Faro" },
  });
});

function roots(doc: Y.Doc) {
  return {
    runs: doc.getMap<Y.Map<unknown>>("runs"),
    approvals: doc.getMap<Y.Map<unknown>>("approvals"),
    requests: doc.getMap("requests"),
  };
}

test("a page that is shut out with nothing unsaved isn't told of a loss", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  const told: Refusal[] = [];
  ana.on("refused", (each) => told.push(each));
  server.refusal = { code: 4403, close: "You have been removed." };
  server.drop(4403, "You have been removed.");
  await until(ana, () => ana.status === "closed");
  expect(told).toEqual([]);
});

test("what was typed by somebody who was shut out meanwhile is not lost: it goes out when they are let in again", async () => {
  const ana = join("ana");
  await ana.waitSynced();
  server.refusal = { code: 4403, close: "You have been removed." };
  server.drop();
  await until(ana, () => ana.status === "offline");
  const told = vi.fn();
  ana.on("refused", told);
  ana.send("typed meanwhile");
  await until(ana, () => ana.status === "closed");
  expect(texts(ana)).toEqual(["typed meanwhile"]);
  await expect(ana.waitSaved()).rejects.toThrow("removed");

  server.refusal = null;
  ana.reconnect({ token: "a new one" });
  await ana.waitSaved();
  expect(told).not.toHaveBeenCalled();
});
