/** Tokens and grants: who one is and what one may, as the server says; and a fresh token before the old one expires. */

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { includes } from "../src/grants.ts";
import { TestServer } from "./server.ts";
import { eventually, open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  vi.useRealTimers();
  await server.end();
});

const GRANT = { id: "ana", name: "Ana L.", kind: "human", capabilities: ["read", "prompt"], life: null };

test("what the server verified takes the place of what was asked for", async () => {
  server.grant = GRANT;
  const session = open(server.url, "trip", { participant: "eve", name: "Eve", kind: "operator" });
  expect(session.me).toMatchObject({ id: "eve", name: "Eve", kind: "operator", capabilities: null });
  expect(session.may("approve")).toBe(true);
  await session.waitSynced();
  await eventually(() => expect(session.me.id).toBe("ana"));

  expect(session.me).toMatchObject({
    name: "Ana L.",
    kind: "human",
    capabilities: ["read", "prompt"],
    expiresAt: null,
  });
  expect([session.may("prompt"), session.may("approve")]).toEqual([true, false]);
  session.send("hello");
  expect(session.messages.all[0]).toMatchObject({ author: "ana", verified: false });
});

test("changed capabilities are told", async () => {
  server.grant = GRANT;
  const session = open(server.url, "trip");
  const told: boolean[] = [];
  session.on("me", () => told.push(session.may("prompt")));
  await until(session, () => session.synced && told.length === 1);
  server.grant = { ...GRANT, capabilities: ["read"] };
  server.drop();
  await eventually(() => expect(told).toEqual([true, false]));
});

test.each([
  [["prompt"], "prompt", true],
  [["prompt"], "approve", false],
  [["admin"], "state:trip", true],
  [["state:*"], "state:trip/hotel", true],
  [["state:trip"], "state:trip/hotel", true],
  [["state:/trip"], "state:trip", true],
  [["state:trip"], "state:trips", false],
  [["state:trip/hotel"], "state:trip", false],
  [["text:*"], "text:notes", true],
  [["text:notes"], "text:notes/more", false],
  [["state:*"], "text:notes", false],
])("%j includes %s: %s", (capabilities, wanted, expected) => {
  expect(includes(capabilities, wanted)).toBe(expected);
});

test("a stamped message's author is the server's word", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  session.send("hello");
  session.doc
    .getArray<import("yjs").Map<unknown>>("messages")
    .get(0)
    .set("stamp", { by: "ben", at: "t", seq: 1 });
  expect(session.messages.all[0]).toMatchObject({
    author: "ben",
    verified: true,
    metadata: {},
  });
});

test("each connection begins with a fresh token", async () => {
  let count = 0;
  const session = open(server.url, "trip", {
    token: () => {
      count += 1;
      return `t${count}`;
    },
  });
  await session.waitSynced();
  server.drop();
  await until(session, () => session.status === "offline");
  await session.waitSynced();
  expect(server.queries.map((query) => query.get("token"))).toEqual(["t1", "t2"]);
});

test("a fresh token goes out on the open socket before the old one expires", async () => {
  server.grant = { ...GRANT, life: 1.5 };
  let count = 0;
  const session = open(server.url, "trip", {
    token: async () => {
      count += 1;
      return `t${count}`;
    },
  });
  await session.waitSynced();
  await eventually(() => expect(server.renewals).toEqual(["t2"]));
  expect(server.queries.length).toBe(1);
});

test("a function that fails at first is asked again", async () => {
  let count = 0;
  const session = open(server.url, "trip", {
    token: () => {
      count += 1;
      if (count < 3) throw new Error("no network");
      return "t";
    },
  });
  await session.waitSynced();
  expect(count).toBe(3);
});

test("a token that expired while the page slept is replaced once, and then it is over", async () => {
  let count = 0;
  const token = (): string => {
    count += 1;
    return `t${count}`;
  };
  const session = open(server.url, "trip", { token });
  await session.waitSynced();
  server.drop(4401, "The token has expired.");
  await until(session, () => session.status === "offline");
  await session.waitSynced();
  expect(count).toBe(2);

  server.refusal = { code: 4401, close: "The token has expired." };
  server.drop(4401, "The token has expired.");
  await until(session, () => session.status === "closed");
  expect(session.error).toMatchObject({
    code: "auth.required",
    close: 4401,
    message: "The token has expired.",
  });
});

test("when there is no fresh token, the server's end of it says why", async () => {
  server.grant = { ...GRANT, life: 1.2 };
  let count = 0;
  const session = open(server.url, "trip", {
    token: () => {
      count += 1;
      if (count > 1) throw new Error("signed out");
      return "t";
    },
  });
  await session.waitSynced();
  await eventually(() => expect(count).toBeGreaterThan(1));
  expect(session.status).toBe("online");
  server.drop(4401, "The token has expired.");
  await until(session, () => session.status === "closed");
  expect(session.error?.message).toBe(
    "The token has expired. The function that gives the token failed: signed out",
  );
});

test("who belongs, who is here and who is looking is one list", async () => {
  const ana = open(server.url, "trip", { participant: "ana", name: "Ana" });
  const ben = open(server.url, "trip", { participant: "ben", name: "Ben" });
  const away = { name: "Cleo", kind: "agent", online: false, devices: 0, last_seen: "2026-01-01T00:00:00Z" };
  ana.doc.getMap("participants").set("cleo", away);
  ben.awareness.setLocalStateField("visible", true);
  await until(ana, () => ana.people.all.length === 3 && ana.people.all[1]?.looking === true);

  expect(ana.people.all.map(({ id, online, devices, looking }) => [id, online, devices, looking])).toEqual([
    ["ana", true, 1, false],
    ["ben", true, 1, true],
    ["cleo", false, 0, false],
  ]);
  expect(ana.people.all[2]).toMatchObject({ name: "Cleo", kind: "agent", lastSeen: "2026-01-01T00:00:00Z" });
  expect(ana.people.all).toBe(ana.people.all);
});

test("a page whose token only the server can read shows its person, and no guest", async () => {
  server.grant = GRANT;
  const ben = open(server.url, "trip", { participant: "ben", name: "Ben" });
  await ben.waitSynced();
  const session = open(server.url, "trip", { token: () => "opaque" });
  const seen = new Set<string>();
  session.on("people", (people) => {
    for (const { name } of people) seen.add(name);
  });
  expect(session.me).toMatchObject({ id: "", name: "" });
  expect(session.presence.all).toEqual([]);
  for (const early of [
    () => session.cancel("r1"),
    () => session.counters.add("n"),
    () => session.queue.add("x"),
  ])
    expect(early).toThrow("isn't known yet");
  session.send("early");
  await session.waitSaved();

  expect(session.me).toMatchObject({ id: "ana", name: "Ana L." });
  expect(session.presence.all.find(({ client }) => client === session.doc.clientID)?.user).toMatchObject({
    id: "ana",
    name: "Ana L.",
  });
  await until(ben, () => ben.presence.others.some(({ user }) => user.id === "ana"));
  expect([...seen].filter((name) => name.includes("Guest"))).toEqual(
    ["Guest"].filter(() => ben.me.name === "Guest"),
  );
  expect(session.messages.all[0]?.author).toBeNull();
  session.send("later");
  expect(session.messages.all[1]?.author).toBe("ana");
});

test("the copy of a page that learns from the server who it is belongs to that person", async () => {
  server.grant = GRANT;
  const session = open(server.url, "trip", { token: () => "opaque", offline: true });
  expect(session.copy).toBe("none");
  const said: string[] = [];
  session.on("copy", (copy) => said.push(copy));
  await session.waitSynced();
  session.send("kept");
  await session.waitSaved();
  await eventually(() => expect(session.copy).toBe("kept"));
  expect(said).toEqual(["opening", "kept"]);
  expect((await indexedDB.databases()).map(({ name }) => name)).toEqual([
    expect.stringMatching(/:trip:ana$/),
  ]);
});
