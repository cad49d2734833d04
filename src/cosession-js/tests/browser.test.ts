// @vitest-environment happy-dom
/** What the browser tells of the network: it drops a dead socket and brings the next attempt forward, nothing more. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { TestServer } from "./server.ts";
import { eventually, open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  vi.stubGlobal("WebSocket", WebSocket); // happy-dom's own asks the page's origin for permission
  localStorage.clear();
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
  vi.unstubAllGlobals();
});

test("an offline browser shows at once, and a server on this machine is found again", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();

  window.dispatchEvent(new Event("offline"));
  expect(session.status).toBe("offline");
  expect(session.synced).toBe(false);
  session.send("while offline");
  await session.waitSaved();
  expect(session.status).toBe("online");
});

test("a browser that is online again doesn't wait for the next attempt", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  const random = vi.spyOn(Math, "random").mockReturnValue(1);
  server.refusal = { code: 4529, close: "Too fast; come back later." }; // a pause of ten seconds
  server.drop();
  await until(session, () => session.status === "offline");
  await eventually(() => expect(server.queries.length).toBe(2));
  await until(session, () => session.status === "offline");
  server.refusal = null;

  window.dispatchEvent(new Event("online"));
  await session.waitSynced();
  expect(server.queries.length).toBe(3);
  random.mockRestore();
});

test("a browser event doesn't undo a refusal, or a close", async () => {
  server.refusal = { code: 4403, close: "Not allowed." };
  const refused = open(server.url, "trip");
  await until(refused, () => refused.status === "closed");
  refused.close();
  window.dispatchEvent(new Event("online"));

  server.refusal = null;
  const other = open(server.url, "trip");
  await other.waitSynced();
  expect(server.queries.length).toBe(2);
});

test.each([
  [window, "pagehide", window, "pageshow"],
  [document, "freeze", document, "resume"],
] as const)(
  "a page that is put away leaves, and connects when it is back",
  async (target, away, other, back) => {
    const session = open(server.url, "trip");
    await session.waitSynced();
    await eventually(() => expect(server.awareness.getStates().size).toBe(1));
    session.send("right before");
    target.dispatchEvent(new Event(away));
    expect(session.status).toBe("offline");
    await eventually(() => expect(server.awareness.getStates().size).toBe(0));
    expect(server.doc.getArray("messages").length).toBe(1);
    window.dispatchEvent(new Event("online"));
    session.send("while away");
    expect([session.status, session.saved]).toEqual(["offline", false]);

    other.dispatchEvent(new Event(back));
    await session.waitSaved();
    expect(server.doc.getArray("messages").length).toBe(2);
    await eventually(() => expect(server.awareness.getStates().size).toBe(1));
    expect(server.queries.length).toBe(2);
  },
);

test("a guest without an id is the same guest after a reload", () => {
  const before = open(server.url, "trip").me.id;
  expect(open(server.url, "trip").me.id).toBe(before);
});
