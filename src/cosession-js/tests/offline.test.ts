/** The copy in the browser: what was written offline survives a reload, and isn't called saved before it is. */

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import * as Y from "yjs";
import { connect, type Session } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

/** A page as it is before a reload: it ends when the test says so. */
function visit(id: string, user = "ana"): Session {
  return connect(server.url, id, { participant: user, offline: true });
}

function texts(session: Session): string[] {
  return session.messages.all.map(({ text }) => text);
}

test("edits made offline survive a reload, and are saved when the server is back", async () => {
  await server.stop();
  const before = visit("survive");
  before.send("from the tunnel");
  await until(before, () => before.status === "offline");
  expect(before.saved).toBe(false);
  before.close();

  const after = open(server.url, "survive", { participant: "ana", offline: true });
  await until(after, () => after.messages.all.length === 1);
  expect(texts(after)).toEqual(["from the tunnel"]);
  expect(after.doc.clientID).not.toBe(before.doc.clientID);
  expect(after.saved).toBe(false);

  await server.restart();
  await after.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("what was loaded isn't called saved before the server's fence says so", async () => {
  const before = visit("fence");
  before.send("hello");
  await before.waitSaved();
  before.close();

  server.holding = true;
  const after = open(server.url, "fence", { participant: "ana", offline: true });
  expect(after.saved).toBe(false);
  await after.waitSynced();
  expect(after.saved).toBe(false);
  server.release();
  await after.waitSaved();
});

test("words of the copy that wait for what the server has aren't called saved before its fence says so", async () => {
  const written = new Y.Doc();
  const updates: Uint8Array[] = [];
  written.on("update", (update: Uint8Array) => updates.push(update));
  for (const word of ["base ", "words"])
    written.getText("text:notes").insert(written.getText("text:notes").length, word);
  await server.stop();
  const before = visit("waiting");
  await until(before, () => before.copy === "kept");
  before.close();
  const name = (await indexedDB.databases()).find((each) => each.name?.includes("waiting"))?.name ?? "";
  const database = await new Promise<IDBDatabase>((resolve) => {
    const opening = indexedDB.open(name);
    opening.onsuccess = () => resolve(opening.result);
  });
  database.transaction(["updates"], "readwrite").objectStore("updates").add(updates[1]);
  database.close();

  Y.applyUpdate(server.doc, updates[0] as Uint8Array);
  server.holding = true;
  await server.restart();
  const after = open(server.url, "waiting", { participant: "ana", offline: true });
  await until(after, () => String(after.text("notes")) === "base words");
  expect(after.saved).toBe(false);
  server.release();
  await after.waitSaved();
  expect(String(server.doc.getText("text:notes"))).toBe("base words");
});

test("an empty copy has nothing to save", async () => {
  await server.stop();
  const session = open(server.url, "empty", { participant: "ana", offline: true });
  await session.waitSaved();
  expect(session.messages.all).toEqual([]);
});

test("who comes next at the same browser doesn't see what another one wrote offline", async () => {
  await server.stop();
  const ana = visit("private", "ana");
  ana.send("only mine");
  await until(ana, () => ana.status === "offline");
  ana.close();

  const ben = visit("private", "ben");
  onTestFinished(() => ben.close());
  await ben.waitSaved(); // its copy is read
  expect(ben.messages.all).toEqual([]);
});

test("after discard nothing of the session is left in the browser", async () => {
  await server.stop();
  const before = visit("discard");
  before.send("refused by the server");
  await until(before, () => before.status === "offline");
  await before.discard();

  const after = open(server.url, "discard", { participant: "ana", offline: true });
  await after.waitSaved();
  expect(after.messages.all).toEqual([]);
});
