/** After `close()`: nothing is written any more, nothing is called saved that wasn't, and nobody waits for ever. */

import { afterEach, beforeEach, expect, test } from "vitest";
import { Disconnected, type Session } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

test.each<[string, (session: Session) => void]>([
  ["send", (session) => session.send("late")],
  ["edit", (session) => session.messages.edit(session.messages.all[0]?.id ?? "", "late")],
  ["remove", (session) => session.messages.remove(session.messages.all[0]?.id ?? "")],
  ["setTitle", (session) => session.setTitle("late")],
  ["cancel", (session) => session.cancel("r1")],
  ["steer", (session) => session.steer("r1", "late")],
  ["state.set", (session) => session.state.set("late", 1)],
  ["state.delete", (session) => session.state.delete("early")],
  ["selections.set", (session) => session.selections.set("late", 1)],
  ["presence.set", (session) => session.presence.set({ late: 1 })],
  ["reconnect", (session) => session.reconnect()],
])("%s of a closed session throws", async (_name, write) => {
  const session = open(server.url, "trip");
  session.send("early");
  session.state.set("early", 1);
  await session.waitSaved();
  session.close();

  expect(session.status).toBe("closed");
  expect(() => write(session)).toThrow(Disconnected);
  expect(server.queries.length).toBe(1);
});

test("a closed session tells its status, and ends who waits", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  const told: string[] = [];
  session.on("status", (status) => told.push(status));
  server.holding = true;
  session.send("never answered");
  const saved = session.waitSaved();
  session.close();

  await expect(saved).rejects.toBeInstanceOf(Disconnected);
  await expect(session.waitSaved()).rejects.toBeInstanceOf(Disconnected);
  await expect(session.waitSynced()).rejects.toBeInstanceOf(Disconnected);
  expect(told).toEqual(["closed"]);
  expect(session.saved).toBe(false);
});

test("what an editor writes into the document of a closed session is not called saved", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  session.close();
  expect(session.saved).toBe(true);
  session.text("notes").y.insert(0, "late");

  expect(session.saved).toBe(false);
});

test("a session is online when its first sync is done", async () => {
  const session = open(server.url, "trip");
  const seen: boolean[] = [];
  session.on("status", (status) => status === "online" && seen.push(session.synced));
  await session.waitSynced();

  expect(session.status).toBe("online");
  expect(seen).toEqual([true]);
});
