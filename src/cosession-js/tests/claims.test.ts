/** Claims and tools that a page offers, with a server that decides as the tests say. */

import { afterEach, beforeEach, expect, test } from "vitest";
import * as Y from "yjs";
import type { Session } from "../src/index.ts";
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
  expect(ana.claims.door).toMatchObject({ by: "ana", client: ana.doc.clientID });
  expect(await ben.claim("door")).toBeNull();
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
  await until(ana, () => ana.claims.door !== undefined);
  await ana.presence.set("any", 1);

  expect(isGranted).toBe(false);
  server.release();
  expect(await claim).not.toBeNull();
});

test("who waits is next when it is let go", async () => {
  serveClaims();
  const [ana, ben] = [await join("ana"), await join("ben")];
  const first = await ana.claim("door");
  const second = ben.claim("door", { wait: true });
  await until(ana, () => ana.claims.door?.waiting?.length === 1);
  first?.release();
  await first?.lost;

  expect(await second).toMatchObject({ epoch: 12 });
});

test("who waits for what ends otherwise gets nothing", async () => {
  serveClaims();
  const [ana, ben] = [await join("ana"), await join("ben")];
  await ana.claim("door");
  const second = ben.claim("door", { wait: true });
  await until(ben, () => ben.claims.door?.waiting?.length === 1);
  server.doc.getMap("claims").delete("door");

  expect(await second).toBeNull();
});

test("what is taken away is told to who held it", async () => {
  serveClaims();
  const ana = await join("ana");
  const claim = await ana.claim("door");
  server.doc.getMap("claims").set("door", { by: "ben", client: 7, epoch: 20, at: AT });
  await claim?.lost;

  claim?.release();
  await ana.waitSaved();
  expect(ana.claims.door).toMatchObject({ by: "ben" });
});

test("what stands in a page's name without being held is given back", async () => {
  const asked = serveClaims();
  const ana = await join("ana");
  const claims = server.doc.getMap("claims");
  claims.set("door", { by: "ana", client: ana.doc.clientID, epoch: 3, at: AT });
  claims.set("gate", { by: "ana", client: 7, epoch: 3, at: AT });
  await until(ana, () => ana.claims.gate !== undefined && ana.claims.door === undefined);

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
  await until(ana, () => ana.claims.d !== undefined);

  expect(ana.claims).toEqual({ d: { by: "ben", client: 7, epoch: 1, waiting: [{ by: "eve", client: 8 }] } });
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
    tab.offerTool("selected", {
      description: "Which row is selected?",
      call: (input) => {
        calls.push(input);
        return { row: 3, nothing: undefined };
      },
    });
  await until(tabs[0], () => tabs[0].presence.all.filter(({ tools }) => tools !== undefined).length === 2);
  call("c1", "selected");
  await until(tabs[0], () => asked.includes("answer"));

  expect(calls).toEqual([{ list: "hotels" }]);
  expect(tabs[0].presence.all[0]?.tools).toEqual([
    { name: "selected", description: "Which row is selected?", schema: null },
  ]);
});

test("what a tool throws is its answer, and what names somebody else is left to them", async () => {
  const requests = server.doc.getMap("requests");
  const ana = await join("ana");
  const answered = new Promise<unknown>((resolve) => {
    requests.observe(() => {
      for (const [key, value] of requests.entries()) if (key.startsWith("answer/")) resolve([key, value]);
    });
  });
  ana.offerTool("selected", {
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
  ana.offerTool("selected", {
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
  ana.offerTool("selected", { call: () => ++calls });
  call("c1", "selected");
  await until(ana, () => asked.includes("release") && Object.keys(ana.claims).length === 0);
  ana.state.set("later", 1);
  await ana.waitSaved();
  expect([calls, asked]).toEqual([1, ["claim", "release"]]);
});

test("a tool is offered once, until it is taken back", async () => {
  const ana = await join("ana");
  const off = ana.offerTool("selected", { call: () => null });
  expect(() => ana.offerTool("selected", { call: () => null })).toThrow("already");
  off();
  off();

  expect(ana.presence.all[0]?.tools).toBeUndefined();
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
  ana.setValue("a1", "to.city", "Turin");
  ana.setValue("a1", "limit", 150);
  ana.vote("a1", "approved");
  ana.vote("a0", "rejected", { limit: 1 });
  ana.setPolicy("steer");
  await ana.waitSaved();

  expect(ana.approvals.map(({ id }) => id)).toEqual(["a0", "a1"]);
  expect(ana.approvals[0]).toEqual({ id: "a0", value: 1 });
  expect(ana.approvals[1]).toMatchObject({
    who: ["ana"],
    votes: {},
    value: { limit: 150, to: { city: "Turin" } },
  });
  expect(server.doc.getMap("requests").toJSON()).toEqual({
    "vote/a1/ana": { decision: "approved", value: { limit: 150, to: { city: "Turin" } } },
    "vote/a0/ana": { decision: "rejected", value: { limit: 1 } },
    "policy/ana": { double_texting: "steer" },
  });
  expect(() => ana.setValue("a0", "limit", 1)).toThrow("no value that can be edited");
  expect(() => ana.setValue("a2", "limit", 1)).toThrow("no approval");
  (approvals.get("a1") as Y.Map<unknown>).set("decision", { decision: "approved", by: ["ana"] });
  await until(ana, () => ana.approvals[1]?.decision?.decision === "approved");
  expect(() => ana.setValue("a1", "limit", 1)).toThrow("decided");
});

test("a run is held while its client is here", async () => {
  const ana = await join("ana");
  const bot = await join("bot");
  await until(ana, () => ana.presence.others.length === 1);
  const run = { id: "r1", agent: "bot" };

  expect(
    [{ ...run, client: bot.doc.clientID }, run, { ...run, client: 7 }].map((each) => ana.isHeld(each)),
  ).toEqual([true, true, false]);
  bot.close();
  await until(ana, () => ana.presence.others.length === 0);
  expect(ana.isHeld(run)).toBe(false);
});

test("a message names who is asked, and an edit who made it", async () => {
  const ana = await join("ana");
  const id = ana.send("fly", { to: ["flights"] });
  ana.send("go");
  ana.edit(id, "fly soon");

  expect(ana.messages[0]?.metadata).toMatchObject({ to: ["flights"], edited_by: "ana" });
  expect(ana.messages[1]?.metadata.to).toBeUndefined();
});
