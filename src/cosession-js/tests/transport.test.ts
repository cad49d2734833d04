/** The connection and its promises: saved, refused, offline, presence. Against a WebSocket server on this machine. */

import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { Disconnected } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { eventually, open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

test("a message that one page sends is what another page shows", async () => {
  const ana = open(server.url, "trip", { participant: "ana", name: "Ana" });
  const ben = open(server.url, "trip", { participant: "ben", name: "Ben" });
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);

  const { id } = ana.send("Lisbon? 🛫");
  await until(ben, () => ben.messages.all.length === 1);

  expect(ben.messages.all[0]).toMatchObject({
    id,
    role: "user",
    text: "Lisbon? 🛫",
    parts: [{ type: "text", text: "Lisbon? 🛫", state: "done" }],
    author: "ana",
    status: "complete",
  });
});

test("the query says who connects, and asks for the extended frames", async () => {
  const session = open(server.url, "trip", {
    participant: "ana b",
    name: "Ana & co",
    kind: "operator",
    token: "t/1+2",
    rollupMs: 50,
  });
  await session.waitSynced();

  expect(Object.fromEntries(server.queries[0] ?? [])).toEqual({
    ext: "1",
    client: String(session.doc.clientID),
    user: "ana b",
    name: "Ana & co",
    kind: "operator",
    token: "t/1+2",
    rollup: "50",
  });
});

test("an edit is saved when the fence comes back, not before", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  server.holding = true;

  session.send("hello");
  expect(session.saved).toBe(false);
  await eventually(() => expect(server.received[0]).toContain(102));
  expect(session.saved).toBe(false);

  server.release();
  await session.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("many edits while a fence is away cost one more fence", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  for (let count = 0; count < 100; count += 1) session.state.set("count", count);
  await session.waitSaved();

  expect(server.received[0]?.filter((kind) => kind === 102).length).toBeLessThanOrEqual(2);
});

test("edits made while the server is away are saved when it is back", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  await server.stop();
  await until(session, () => session.status === "offline");

  session.send("from the tunnel");
  expect(session.saved).toBe(false);
  expect(session.synced).toBe(false);

  await server.restart();
  await session.waitSaved();
  expect(session.status).toBe("online");
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("a fence that the connection lost is sent again on the next one", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  server.holding = true;
  session.send("hello");
  await until(session, () => !session.saved);
  server.drop();
  await until(session, () => session.status === "offline");
  server.holding = false;

  await session.waitSaved();
  expect(server.received.length).toBe(2);
});

test("edits made before the first connection are merged, and saved", async () => {
  const session = open(server.url, "trip");
  session.send("early");
  expect(session.saved).toBe(false);

  await session.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("the first fence of a connection follows the answer to what the server lacked", async () => {
  const session = open(server.url, "trip");
  session.send("early");
  await session.waitSaved();

  expect(server.steps.filter((step) => step !== 0)).toEqual([1, 102]);
});

test.each([
  { code: 4529, shortest: 3_200, longest: 10_000 },
  { code: 4503, shortest: 100, longest: 200 },
])("after close code $code the next attempt waits between $shortest and $longest ms", async (range) => {
  const timers = vi.spyOn(globalThis, "setTimeout");
  onTestFinished(() => timers.mockRestore());
  for (const chance of [0, 0.999]) {
    const random = vi.spyOn(Math, "random").mockReturnValue(chance);
    const session = open(server.url, "trip");
    await session.waitSynced();
    timers.mockClear();
    server.drop(range.code);
    await until(session, () => session.status === "offline");

    const isOurs = (ms = 0): boolean => ms <= 10_000; // the test's server has timers as well
    const pause = Math.max(...timers.mock.calls.map(([, ms]) => ms ?? 0).filter(isOurs));
    expect(pause).toBeGreaterThanOrEqual(range.shortest);
    expect(pause).toBeLessThanOrEqual(range.longest);
    session.close();
    random.mockRestore();
  }
});

test.each(["a token", "a function that gives tokens"])(
  "a handshake that nobody answers is given up, and tried again with %s",
  async (credential) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    let given = 0;
    const token = credential === "a token" ? "t0" : () => `t${given++}`;
    server.mute = true;
    const session = open(server.url, "trip", { token });
    await eventually(() => expect(server.unanswered.length).toBe(1));
    expect(session.status).toBe("connecting");

    server.mute = false;
    vi.advanceTimersByTime(10_000);
    expect(session.status).toBe("offline");
    vi.advanceTimersByTime(200);
    await session.waitSynced();
    expect(session.status).toBe("online");
    expect(server.queries[0]?.get("token")).toBe(credential === "a token" ? "t0" : "t1");
    vi.useRealTimers();
  },
);

test("a final close code ends the attempts, with the notice's reason", async () => {
  const reason = "Only members of this session may write to it; ask its owner to add you.";
  server.refusal = { code: 4403, close: "not allowed", notice: { code: "auth.forbidden", reason } };
  const session = open(server.url, "trip");

  await expect(session.waitSynced()).rejects.toBeInstanceOf(Disconnected);
  expect(session.status).toBe("closed");
  expect(session.error).toMatchObject({ code: "auth.forbidden", close: 4403, message: reason });
});

test("a refusal without a notice has the close reason", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  server.drop(4410, "The session was deleted.");
  await until(session, () => session.status === "closed");

  expect(session.error).toMatchObject({
    code: "session.deleted",
    close: 4410,
    message: "The session was deleted.",
  });
});

test("a refused session can try again with another token", async () => {
  server.refusal = { code: 4401, close: "The token expired." };
  const session = open(server.url, "trip", { token: "old" });
  await until(session, () => session.status === "closed");
  server.refusal = null;

  session.reconnect({ token: "new" });
  await session.waitSynced();
  expect(session.error).toBeNull();
  expect(server.queries[1]?.get("token")).toBe("new");
});

test.each([4503, 4508, 1011])("close code %i is tried again", async (code) => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  server.drop(code);
  await until(session, () => session.status === "offline");

  await session.waitSynced();
  expect(session.status).toBe("online");
});

test("presence shows others with what they say of the moment, and forgets who left", async () => {
  const ana = open(server.url, "trip", { participant: "ana", name: "Ana", color: "#123456" });
  const ben = open(server.url, "trip", { participant: "ben", name: "Ben" });
  ana.presence.set({ typing: true });
  await until(ben, () => ben.presence.others.length === 1 && ben.presence.others[0]?.fields.typing === true);

  expect(ben.presence.others[0]).toEqual({
    client: ana.doc.clientID,
    user: expect.objectContaining({ id: "ana", name: "Ana", color: "#123456", kind: "human", online: true }),
    visible: null,
    fields: { typing: true },
  });
  expect(ben.presence.all.length).toBe(2);

  ana.close();
  await until(ben, () => ben.presence.others.length === 0);
});

test("nobody is dropped for being silent: only the server says who left", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  const ben = open(server.url, "trip", { participant: "ben" });
  await until(ben, () => ben.presence.others.length === 1);
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const cleo = open(server.url, "trip", { participant: "cleo" });
  await until(cleo, () => cleo.presence.others.length === 2);

  for (const heard of cleo.awareness.meta.values()) heard.lastUpdated = 0;
  vi.advanceTimersByTime(20_000);
  expect(cleo.presence.others.map(({ user }) => user.id).sort()).toEqual(["ana", "ben"]);
  expect(ana.status).toBe("online");
});

test("presence is back after a lost connection", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  const ben = open(server.url, "trip", { participant: "ben" });
  await until(ben, () => ben.presence.others.length === 1);
  server.drop();
  await until(ben, () => ben.presence.others.length === 0);

  await until(ben, () => ben.presence.others.length === 1);
  await until(ana, () => ana.status === "online");
});

test("presence that came from the server isn't sent back to it", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  const frames = server.received[0] as number[];
  const before = frames.filter((kind) => kind === 1).length;
  const ben = open(server.url, "trip", { participant: "ben" });
  await until(ana, () => ana.presence.others.length === 1);
  ana.send("after that");
  await ana.waitSaved();

  expect(frames.filter((kind) => kind === 1).length).toBe(before);
  expect(ben.me.id).toBe("ben");
});
