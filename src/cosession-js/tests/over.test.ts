/** After the end of a session: nothing is called saved, every write and wait says so, and a token may open it again. */

import { afterEach, beforeEach, expect, test } from "vitest";
import { Disconnected, type Refusal, type Session } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

const WRITES: readonly (readonly [string, (session: Session) => unknown])[] = [
  ["send", (session) => session.send("late")],
  ["edit", (session) => session.messages.edit(session.messages.all[0]?.id ?? "", "late")],
  ["remove", (session) => session.messages.remove(session.messages.all[0]?.id ?? "")],
  ["setTitle", (session) => session.setTitle("late")],
  ["cancel", (session) => session.cancel("r1")],
  ["steer", (session) => session.steer("r1", "late")],
  ["vote", (session) => session.approvals.vote("a1", "approved")],
  ["setValue", (session) => session.approvals.edit("a1", "x", 1)],
  ["setPolicy", (session) => session.policy.set({ doubleTexting: "queue" })],
  ["state.set", (session) => session.state.set("late", 1)],
  ["state.delete", (session) => session.state.delete("early")],
  ["selections.set", (session) => session.selections.set("late", 1)],
  ["counters.add", (session) => session.counters.add("late")],
  ["queue.add", (session) => session.queue.add("late")],
  ["queue.move", (session) => session.queue.move("p1", 0)],
  ["queue.remove", (session) => session.queue.remove("p1")],
  ["presence.set", (session) => session.presence.set({ late: 1 })],
  ["offerTool", (session) => session.tools.offer("late", { call: () => 1 })],
];

test.each([
  [4401, "The token has been revoked."],
  [4403, "You have been removed."],
  [4410, "The session was deleted."],
])(
  "after close code %i nothing is saved, and every write and wait fails with its reason",
  async (code, reason) => {
    const session = open(server.url, "trip");
    session.send("early");
    await session.waitSaved();
    server.refusal = { code, close: reason };
    server.drop(code, reason);
    await until(session, () => session.status === "closed");

    expect(session.saved).toBe(false);
    for (const [name, write] of WRITES) {
      expect(() => write(session), name).toThrow(Disconnected);
      expect(() => write(session), name).toThrow(reason);
    }
    await expect(session.claim("k")).rejects.toBeInstanceOf(Disconnected);
    await expect(session.waitSaved()).rejects.toBeInstanceOf(Disconnected);
    await expect(session.waitSynced()).rejects.toBeInstanceOf(Disconnected);
    session.text("notes").y.insert(0, "by an editor");
    expect(session.saved).toBe(false);
  },
);

test("what an editor wrote after the end is saved when a new token opens the session again", async () => {
  const session = open(server.url, "trip");
  await session.waitSaved();
  await session.waitSynced();
  server.drop(4401, "The token has expired.");
  await until(session, () => session.status === "closed");
  session.text("notes").y.insert(0, "by an editor");
  session.reconnect({ token: "new" });
  await session.waitSaved();
  expect(String(server.doc.getText("text:notes"))).toBe("by an editor");
});

test.each([
  [4410, "The session was deleted."],
  [4422, "The session can't be loaded; ask its operator to check the database."],
])("what was unsaved is told as lost after close code %i", async (code, reason) => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  server.holding = true;
  const refused = new Promise<Refusal>((resolve) => session.on("refused", resolve));
  session.send("not saved yet");
  server.drop(code, reason);
  expect(await refused).toMatchObject({ close: code, reason, lost: ["not saved yet"], final: true });
});

test("a tool is taken back after the end without an error", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  const off = session.tools.offer("t", { call: () => 1 });
  server.drop(4410, "The session was deleted.");
  await until(session, () => session.status === "closed");
  off();
});
