/** Claims and tools that a page offers, with a server that decides as the tests say. */

import { afterEach, beforeEach, expect, test } from "vitest";
import * as Y from "yjs";
import { ClaimHeld, ClaimLost, InvalidValue, NotFound, type Session } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(() => server.end());

const AT = "2026-01-01T00:00:00.000Z";

async function join(user: string): Promise<Session> {
  const session = open(server.url, "trip", { participant: user, name: user });
  await session.waitSynced();
  return session;
}

/** Decides each request once: `decide` gets its kind, subject, participant and value. */
function decide(how: (kind: string, subject: string[], by: string, value: unknown) => void): void {
  const requests = server.doc.getMap("requests");
  requests.observe(() => {
    for (const key of [...requests.keys()]) {
      const [kind = "", ...rest] = key.split("/").map(decodeURIComponent);
      const value = requests.get(key);
      server.doc.transact(() => {
        how(kind, rest.slice(0, -1), rest.at(-1) ?? "", value);
        requests.delete(key);
      });
    }
  });
}

/** First come, first served. */
function serveClaims(): string[] {
  const asked: string[] = [];
  const claims = server.doc.getMap<Record<string, unknown>>("claims");
  let epoch = 10;
  decide((kind, [key = "", client = ""], by, value) => {
    asked.push(kind);
    const fact = claims.get(key);
    const me = { by, client: Number(client) };
    const isMine = fact?.by === me.by && fact.client === me.client;
    const waiting = (fact?.waiting ?? []) as { by: string; client: number }[];
    if (kind === "claim" && fact === undefined) claims.set(key, { ...me, epoch: ++epoch, at: AT });
    else if (kind === "claim" && !isMine && (value as { wait?: boolean }).wait)
      claims.set(key, { ...fact, waiting: [...waiting, me] });
    else if (kind === "release" && isMine && waiting.length > 0)
      claims.set(key, { ...waiting[0], epoch: ++epoch, at: AT, waiting: waiting.slice(1) });
    else if ((kind === "release" || kind === "answer") && isMine) claims.delete(key);
  });
  return asked;
}

test("one page holds it, the other hears that it doesn't", async () => {
  serveClaims();
  const [ana, ben] = [await join("ana"), await join("ben")];
  const claim = await ana.claim("door");

  expect(claim).toMatchObject({ key: "door", epoch: 11 });
  expect(ana.claims.get("door")).toMatchObject({ key: "door", by: "ana", mine: true });
  expect(ana.claims.all).toEqual([ana.claims.get("door")]);
  claim.check();
  await expect(ben.claim("door")).rejects.toMatchObject({ code: "claim.held", by: "ana" });
  expect(await ana.claim("door", { seconds: 5 })).toBe(claim);
});

test("a grant counts when it is stored, not before", async () => {
  serveClaims();
  const ana = await join("ana");
  server.holding = true;
  let isGranted = false;
  const claim = ana.claim("door").then((granted) => {
    isGranted = true;
    return granted;
  });
  await until(ana, () => ana.claims.get("door") !== undefined);
  await ana.presence.set({ any: 1 });

  expect(isGranted).toBe(false);
  server.release();
  await claim;
});

test("who waits is next when it is let go", async () => {
  serveClaims();
  const [ana, ben] = [await join("ana"), await join("ben")];
  const first = await ana.claim("door");
  const second = ben.claim("door", { wait: true });
  await until(ana, () => ana.claims.get("door")?.waiting?.length === 1);
  first.release();
  await first.waitLost();

  expect(await second).toMatchObject({ epoch: 12 });
});

test("who waits for what ends otherwise gets nothing", async () => {
  serveClaims();
  const [ana, ben] = [await join("ana"), await join("ben")];
  await ana.claim("door");
  const second = ben.claim("door", { wait: true });
  await until(ben, () => ben.claims.get("door")?.waiting?.length === 1);
  server.doc.getMap("claims").delete("door");

  await expect(second).rejects.toBeInstanceOf(ClaimHeld);
});

test("what is taken away is told to who held it", async () => {
  serveClaims();
  const ana = await join("ana");
  const claim = await ana.claim("door");
  server.doc.getMap("claims").set("door", { by: "ben", client: 7, epoch: 20, at: AT });
  await claim.waitLost();
  expect(() => claim.check()).toThrow(ClaimLost);

  claim.release();
  await ana.waitSaved();
  expect(ana.claims.get("door")).toMatchObject({ by: "ben" });
});

test("what stands in a page's name without being held is given back", async () => {
  const asked = serveClaims();
  const ana = await join("ana");
  const claims = server.doc.getMap("claims");
  claims.set("door", { by: "ana", client: ana.doc.clientID, epoch: 3, at: AT });
  claims.set("gate", { by: "ana", client: 7, epoch: 3, at: AT });
  await until(ana, () => ana.claims.get("gate") !== undefined && ana.claims.get("door") === undefined);

  expect(asked).toEqual(["release"]);
});

test("a claim that is asked for when the session ends fails", async () => {
  const ana = await join("ana");
  const claim = ana.claim("door");
  ana.close();

  await expect(claim).rejects.toThrow("closed");
  await expect(ana.claim("door")).rejects.toThrow("closed");
});

test("whatever stands there is read", async () => {
  const ana = await join("ana");
  const claims = server.doc.getMap("claims");
  for (const [key, fact] of Object.entries({ a: 7, b: {}, c: { by: "ben", client: "x", epoch: 1 } })) {
    claims.set(key, fact);
  }
  claims.set("d", { by: "ben", client: 7, epoch: 1, waiting: [{ by: 1 }, { by: "eve", client: 8 }] });
  await until(ana, () => ana.claims.get("d") !== undefined);

  expect(ana.claims.all).toEqual([
    { key: "d", by: "ben", epoch: 1, at: "", until: null, waiting: ["eve"], mine: false },
  ]);
});

function call(id: string, tool: string, more: object = {}): void {
  const cosession = { client: true, who: [], ...more };
  const part = { type: `tool-${tool}`, toolCallId: id, state: "input-available", input: { list: "hotels" } };
  const fields = { id: `m-${id}`, role: "assistant", metadata: new Y.Map(Object.entries({ author: "bot" })) };
  const parts = Y.Array.from([new Y.Map(Object.entries({ ...part, callProviderMetadata: { cosession } }))]);
  server.doc.getArray("messages").push([new Y.Map(Object.entries({ ...fields, parts }))]);
}

test("a tool that two tabs offer is called in one of them", async () => {
  const answers: unknown[] = [];
  const asked = serveClaims();
  const calls: unknown[] = [];
  const tabs = [await join("ana"), await join("ana")] as const;
  server.doc.getMap("requests").observe(({ changes }) => {
    for (const key of changes.keys.keys())
      if (key.startsWith("answer/")) answers.push([key, server.doc.getMap("requests").get(key)]);
  });
  for (const tab of tabs)
    tab.tools.offer("selected", {
      description: "Which row is selected?",
      call: (input) => {
        calls.push(input);
        return { row: 3, nothing: undefined };
      },
    });
  await until(tabs[0], () => tabs[0].presence.all.length === 2 && tabs[0].tools.all.length === 1);
  call("c1", "selected");
  await until(tabs[0], () => asked.includes("answer"));

  expect(calls).toEqual([{ list: "hotels" }]);
  expect(tabs[0].tools.all).toEqual([
    { name: "selected", description: "Which row is selected?", schema: null, participant: "ana" },
  ]);
  expect(tabs[0].presence.all[0]?.fields).toEqual({});
});

test("what a tool throws is its answer, and what names somebody else is left to them", async () => {
  const requests = server.doc.getMap("requests");
  const ana = await join("ana");
  const answered = new Promise<unknown>((resolve) => {
    requests.observe(() => {
      for (const [key, value] of requests.entries()) if (key.startsWith("answer/")) resolve([key, value]);
    });
  });
  ana.tools.offer("selected", {
    call: () => {
      throw new Error("Nothing is.");
    },
  });
  call("c1", "selected", { who: ["ben"] });
  call("c2", "other");
  call("c3", "selected", { client: false });
  call("c4", "selected", { who: ["ana"] });
  const claims = server.doc.getMap("claims");
  claims.set("tool/c4", { by: "ana", client: ana.doc.clientID, epoch: 1, at: AT });
  await until(ana, () => [...requests.keys()].some((key) => key.startsWith("claim/")));
  expect([...requests.keys()]).toEqual([`claim/tool%2Fc4/${ana.doc.clientID}/ana`]);
  requests.delete(`claim/tool%2Fc4/${ana.doc.clientID}/ana`);

  expect(await answered).toEqual([`answer/m-c4/c4/${ana.doc.clientID}/ana`, { error: "Nothing is." }]);
});

const THROWN: Readonly<Record<string, unknown>> = {
  "an object without a text": Object.create(null),
  "an error whose message is no text": Object.assign(new Error(), { message: 5 }),
  "an error that can't be read": {
    toString() {
      throw new Error("no");
    },
  },
  nothing: undefined,
};

test.each(Object.entries(THROWN))("a tool that throws %s has an answer", async (_name, thrown) => {
  const answers: unknown[] = [];
  const ana = await join("ana");
  decide((kind, [key = "", client = ""], by, value) => {
    if (kind === "claim")
      server.doc.getMap("claims").set(key, { by, client: Number(client), epoch: 1, at: AT });
    if (kind === "answer") answers.push(value);
  });
  ana.tools.offer("selected", {
    call: () => {
      throw thrown;
    },
  });
  call("c1", "selected");
  await until(ana, () => answers.length > 0);
  expect(answers).toEqual([{ error: expect.any(String) }]);
});

test("a page that may not answer a call lets go of it, and doesn't take it again", async () => {
  server.grant = { id: "ana", name: "Ana", kind: "human", capabilities: ["claim"], life: null };
  const asked = serveClaims();
  const ana = await join("ana");
  await until(ana, () => ana.me.capabilities !== null);
  let calls = 0;
  ana.tools.offer("selected", { call: () => ++calls });
  call("c1", "selected");
  await until(ana, () => asked.includes("release") && ana.claims.all.length === 0);
  ana.text("later").append("x");
  await ana.waitSaved();
  expect([calls, asked]).toEqual([1, ["claim", "release"]]);
});

test("a call that a person answers is answered in the name of this page, once it holds the call", async () => {
  const answers: unknown[] = [];
  server.doc.getMap("requests").observe(({ keysChanged, target }) => {
    for (const key of keysChanged)
      if (key.startsWith("answer/") && target.has(key)) answers.push([key, target.get(key)]);
  });
  const asked = serveClaims();
  const ana = await join("ana");
  call("c1", "fill");
  await until(ana, () => ana.messages.all.length === 1);
  const request = ana.tools.answer("m-c1", "c1", { output: { name: "Ana" } });
  expect(request).toMatchObject({ id: "c1", kind: "answer" });
  expect(await request.outcome()).toMatchObject({ accepted: true, id: "c1" });
  expect(asked).toEqual(["claim", "answer"]);
  expect(answers).toEqual([[`answer/m-c1/c1/${ana.doc.clientID}/ana`, { output: { name: "Ana" } }]]);
  expect(() => ana.tools.answer("none", "c1", { error: "No." })).toThrow(NotFound);
  expect(() => ana.tools.answer("m-c1", "c1", { output: 5n as never })).toThrow(InvalidValue);
});

test("a call that another page holds isn't answered, and an unread refusal of that is an event", async () => {
  serveClaims();
  const ana = await join("ana");
  call("c1", "fill");
  server.doc.getMap("claims").set("tool/c1", { by: "ben", client: 7, epoch: 1, at: AT });
  await until(ana, () => ana.messages.all.length === 1 && ana.claims.all.length === 1);
  const outcome = await ana.tools.answer("m-c1", "c1", { error: "No." }).outcome();
  expect(outcome).toMatchObject({ accepted: false, error: { code: "claim.held", by: "ben" } });
  expect(() => outcome.check()).toThrow(ClaimHeld);
  const refused = new Promise((resolve) => ana.on("refused", resolve));
  ana.tools.answer("m-c1", "c1", { error: "No." });
  expect(await refused).toMatchObject({ code: "claim.held", final: false });
});

test("a tool is offered once, until it is taken back", async () => {
  const ana = await join("ana");
  const off = ana.tools.offer("selected", { call: () => null });
  expect(() => ana.tools.offer("selected", { call: () => null })).toThrow("already");
  off();
  off();

  expect(ana.tools.all).toEqual([]);
});

test("a page that leaves says so, before its socket ends", async () => {
  const ana = await join("ana");
  const { clientID } = ana.doc;
  const ben = await join("ben");
  await until(ben, () => ben.presence.others.length === 1);
  const kinds = server.received[0] as number[];
  const frames = kinds.length;
  ana.close();
  await until(ben, () => ben.presence.others.length === 0);

  expect(kinds.slice(frames)).toContain(1);
  expect(server.awareness.getStates().has(clientID)).toBe(false);
});

test("an approval is shown, edited and voted on", async () => {
  const approvals = server.doc.getMap("approvals");
  const fields = {
    question: "Book?",
    created_at: AT,
    quorum: 1,
    who: ["ana", 7],
    votes: { ben: { decision: "maybe" } },
  };
  const value = new Y.Map<unknown>(Object.entries({ limit: 200, to: new Y.Map([["city", "Rome"]]) }));
  approvals.set("a1", new Y.Map<unknown>(Object.entries({ ...fields, value })));
  approvals.set("a0", new Y.Map<unknown>(Object.entries({ question: 7, votes: 7, value: 1 })));
  const ana = await join("ana");
  ana.approvals.edit("a1", "to.city", "Turin");
  ana.approvals.edit("a1", "limit", 150);
  ana.approvals.vote("a1", "approved");
  ana.approvals.vote("a0", "rejected", { value: { limit: 1 } });
  ana.policy.set({ doubleTexting: "steer" });
  await ana.waitSaved();

  expect(ana.approvals.all.map(({ id }) => id)).toEqual(["a0", "a1"]);
  expect(ana.approvals.all[0]).toMatchObject({ id: "a0", question: "", value: 1, votes: {}, decision: null });
  expect(ana.approvals.open).toEqual(ana.approvals.all);
  expect(ana.approvals.all[1]).toMatchObject({
    participants: ["ana"],
    votes: {},
    value: { limit: 150, to: { city: "Turin" } },
  });
  expect(server.doc.getMap("requests").toJSON()).toEqual({
    "vote/a1/ana": { decision: "approved", value: { limit: 150, to: { city: "Turin" } } },
    "vote/a0/ana": { decision: "rejected", value: { limit: 1 } },
    "policy/ana": { double_texting: "steer" },
  });
  expect(() => ana.approvals.edit("a0", "limit", 1)).toThrow("no value that can be edited");
  expect(() => ana.approvals.edit("a2", "limit", 1)).toThrow("no approval");
  (approvals.get("a1") as Y.Map<unknown>).set("decision", { decision: "approved", by: ["ana"] });
  await until(ana, () => ana.approvals.all[1]?.decision?.approved === true);
  expect(() => ana.approvals.edit("a1", "limit", 1)).toThrow("decided");
});

test("a run is attended while its client is here, and the event of runs tells it", async () => {
  const ana = await join("ana");
  const bot = await join("bot");
  await until(ana, () => ana.presence.others.length === 1);
  const runs = server.doc.getMap("runs");
  const run = { agent: "bot", status: "running" };
  for (const [id, more] of Object.entries({ a: { client: bot.doc.clientID }, b: {}, c: { client: 7 } }))
    runs.set(id, { ...run, ...more });
  runs.set("d", { ...run, status: "complete" });
  await until(ana, () => ana.runs.all.length === 4);
  expect(ana.runs.all.map(({ id, attended }) => [id, attended])).toEqual([
    ["a", true],
    ["b", true],
    ["c", false],
    ["d", false],
  ]);
  const [, , c] = ana.runs.all;
  const told = new Promise<readonly { attended: boolean }[]>((resolve) => ana.on("runs", resolve));
  bot.close();
  expect((await told).some(({ attended }) => attended)).toBe(false);
  expect(ana.runs.all[2]).toBe(c);
});

test("a message names who is asked, and an edit who made it", async () => {
  const ana = await join("ana");
  const id = ana.send("fly", { to: ["flights"] });
  ana.send("go");
  ana.messages.edit(id, "fly soon");

  expect(ana.messages.all[0]).toMatchObject({ to: ["flights"], editedBy: "ana", metadata: {} });
  expect(ana.messages.all[1]?.to).toEqual([]);
});
