/** The same promises against a cosession server, when COSESSION_TEST_URL says where one is (development identities). */

import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { HttpClient } from "../src/http.ts";
import { Conflict, CosessionError, Gone, NotFound, type Session, type ToolPart } from "../src/index.ts";
import { open, until } from "./sessions.ts";

const URL = process.env.COSESSION_TEST_URL ?? "";

describe.skipIf(URL === "")("against the server", () => {
  const fresh = (): string => `js-${crypto.randomUUID()}`;
  const join = (id: string, user: string): Session =>
    open(URL, id, { participant: user, name: user.toUpperCase() });

  test("what is saved is what the server tells over HTTP", async () => {
    const ana = join(fresh(), "ana");
    const { id } = ana.send("Lisbon? 👩‍👩‍👧");
    ana.messages.edit(id, "Lisbon! 👩‍👩‍👧");
    await ana.waitSaved();

    const { document } = await (await fetch(`${URL}/sessions/${ana.id}`)).json();
    expect(document.messages).toMatchObject([
      { id, role: "user", parts: [{ type: "text", text: "Lisbon! 👩‍👩‍👧" }] },
    ]);
  });

  test("a title that is set before the first sync stays", async () => {
    const ana = join(fresh(), "ana");
    ana.setTitle("Summer");
    await ana.waitSaved();
    const ben = join(ana.id, "ben");
    await ben.waitSynced();

    expect([ana.title, ben.title]).toEqual(["Summer", "Summer"]);
  });

  test("two pages see each other's messages, state and presence", async () => {
    const id = fresh();
    const [ana, ben] = [join(id, "ana"), join(id, "ben")];
    ana.send("hello");
    ana.state.set("trip.city", "Porto");
    ana.presence.set({ typing: true });
    await until(ben, () => ben.messages.all.length === 1 && ben.state.get("trip.city") === "Porto");
    await until(ben, () => ben.presence.others.some(({ fields }) => fields.typing === true));

    expect(ben.messages.all[0]).toMatchObject({ text: "hello", author: "ana" });
    expect(ben.presence.others[0]?.user).toMatchObject({ id: "ana", name: "ANA", kind: "human" });

    ana.close();
    await until(ben, () => ben.presence.others.length === 0);
  });

  test("a steer and a cancel become facts of the run, and their requests go", async () => {
    const ana = join(fresh(), "ana (home)");
    await ana.waitSynced();
    const containers = ["messages", "steps", "steers", "seen"].map((name) => [name, new Y.Array()] as const);
    const fields = {
      id: "r1",
      agent: "guide",
      status: "running",
      started_at: new Date().toISOString(),
      epoch: 1,
    };
    ana.doc.getMap("runs").set("r1", new Y.Map<unknown>([...Object.entries(fields), ...containers]));
    const { id: steer } = ana.steer("r1", "by train");
    await until(ana, () => ana.runs.all[0]?.steers?.length === 1);
    ana.cancel("r1", { reason: "too slow" });
    await until(ana, () => Boolean(ana.runs.all[0]?.cancel));

    expect(ana.runs.all[0]?.steers).toMatchObject([{ id: steer, by: "ana (home)", text: "by train" }]);
    expect(ana.runs.all[0]?.cancel).toMatchObject({ by: "ana (home)", reason: "too slow" });
    await until(ana, () => ana.doc.getMap("requests").size === 0);
  });

  test("of two pages one holds a claim, and the next in line has it when that page goes", async () => {
    const id = fresh();
    const [ana, ben] = [join(id, "ana"), join(id, "ben")];
    await Promise.all([ana.waitSynced(), ben.waitSynced()]);
    const held = await ana.claim("door", { seconds: 600 });
    expect(held).toMatchObject({ key: "door" });
    await expect(ben.claim("door")).rejects.toMatchObject({ by: "ana" });
    const next = ben.claim("door", { wait: true });
    await until(ana, () => ana.claims.get("door")?.waiting?.length === 1);
    ana.close();

    expect((await next).epoch).toBeGreaterThan(held.epoch);
    expect(ben.claims.get("door")).toMatchObject({ by: "ben", mine: true });
  });

  test("a tool that two tabs offer answers a call once", async () => {
    const id = fresh();
    const bot = join(id, "bot");
    const tabs = [join(id, "ana"), join(id, "ana")];
    await Promise.all([bot, ...tabs].map((each) => each.waitSynced()));
    const calls: unknown[] = [];
    for (const tab of tabs) {
      tab.tools.offer("selected", {
        description: "Which row is selected?",
        call: (input) => {
          calls.push(input);
          return { row: 3 };
        },
      });
    }
    await until(bot, () => bot.presence.all.length === 3 && bot.tools.all.length === 1);
    const callProviderMetadata = { cosession: { client: true, who: [] } };
    const part = {
      type: "tool-selected",
      toolCallId: "c1",
      state: "input-available",
      input: { list: "hotels" },
    };
    bot.send([{ ...part, callProviderMetadata }] as never, { role: "assistant" as never });
    const answered = (): Partial<ToolPart> => (bot.messages.all[0]?.parts[0] ?? {}) as Partial<ToolPart>;
    await until(bot, () => answered().state === "output-available");

    expect(answered().output).toEqual({ row: 3 });
    await until(bot, () => bot.doc.getMap("requests").size === 0 && bot.claims.all.length === 0);
    expect(calls).toEqual([{ list: "hotels" }]);
  });

  test("a call that a person answers gets the answer from the server, once", async () => {
    const id = fresh();
    const [bot, ana] = [join(id, "bot"), join(id, "ana")];
    await Promise.all([bot, ana].map((each) => each.waitSynced()));
    const callProviderMetadata = { cosession: { client: true, who: [] } };
    const part = { type: "tool-fill", toolCallId: "c1", state: "input-available", input: {} };
    const { id: message } = bot.send([{ ...part, callProviderMetadata }] as never, {
      role: "assistant" as never,
    });
    await until(ana, () => ana.messages.all.length === 1);
    const outcome = await ana.tools.answer(message, "c1", { output: { name: "Ana" } }).outcome();
    outcome.check();
    expect(ana.messages.get(message)?.parts[0]).toMatchObject({
      state: "output-available",
      output: { name: "Ana" },
    });
    const late = await ana.tools.answer(message, "c1", { output: 1 }).outcome();
    expect(late.error).toBeInstanceOf(Conflict);
  });

  test("people edit what they approve, and the server counts", async () => {
    const id = fresh();
    const [bot, ana, ben] = [join(id, "bot"), join(id, "ana"), join(id, "ben")];
    await Promise.all([bot, ana, ben].map((each) => each.waitSynced()));
    const fields = { question: "Book?", created_at: new Date().toISOString(), quorum: 2, votes: new Y.Map() };
    const value = new Y.Map([["limit", 200]]);
    bot.doc.getMap("approvals").set("a1", new Y.Map<unknown>(Object.entries({ ...fields, value })));
    await until(ana, () => ana.approvals.all.length === 1);
    ana.approvals.edit("a1", "limit", 150);
    ana.approvals.vote("a1", "approved");
    await until(ben, () => Object.keys(ben.approvals.all[0]?.votes ?? {}).length === 1);
    const own = await bot.approvals.vote("a1", "approved").outcome();
    expect(own).toMatchObject({ accepted: false, error: { code: "auth.forbidden" } });
    ben.approvals.vote("a1", "approved");
    await until(ana, () => Boolean(ana.approvals.all[0]?.decision));

    const decision = { status: "approved", by: ["ana", "ben"], value: { limit: 150 } };
    expect(ana.approvals.all[0]?.decision).toMatchObject(decision);
    ana.policy.set({ doubleTexting: "steer" });
    await until(ben, () => ben.policy.doubleTexting === "steer");
  });

  test("while an agent works, a prompt is refused by policy, and what is queued waits for the end", async () => {
    const id = fresh();
    const [ana, bot] = [join(id, "ana"), open(URL, id, { participant: "bot", name: "Bot", kind: "agent" })];
    await Promise.all([ana.waitSynced(), bot.waitSynced()]);
    ana.policy.set({ doubleTexting: "reject" });
    const asked = ana.send("Where to?");
    await until(bot, () => bot.messages.all.length === 1);
    const fields = {
      id: "r1",
      agent: "bot",
      status: "running",
      reply_to: asked.id,
      started_at: new Date().toISOString(),
    };
    const run = new Y.Map<unknown>(Object.entries({ ...fields, epoch: 1, client: bot.doc.clientID }));
    bot.doc.getMap("runs").set("r1", run);
    await until(ana, () => ana.runs.all.length === 1);
    const late = ana.send("And when?");
    const queued = ana.queue.add("Book it");
    await until(ana, () => ana.messages.all[1]?.refused !== null);
    ana.queue.text(queued.id).insert(7, ", please");
    await ana.waitSaved();

    expect(ana.messages.all[1]).toMatchObject({ id: late.id, refused: { code: "busy" } });
    expect(ana.queue.all).toMatchObject([{ id: queued.id, text: "Book it, please" }]);
    await until(ana, () => ana.runs.all[0]?.attended === true); // presence comes in bulletins, beside the document
    run.set("status", "complete");
    await until(ana, () => ana.queue.all.length === 0);
    expect(ana.messages.all[2]).toMatchObject({ id: queued.id, text: "Book it, please", author: "ana" });
  });

  test("a deleted session is a final refusal", async () => {
    const ana = join(fresh(), "ana");
    await ana.waitSynced();
    await fetch(`${URL}/sessions/${ana.id}`, { method: "DELETE" });
    await until(ana, () => ana.status === "closed");

    expect(ana.error).toMatchObject({ code: "session.deleted", close: 4410 });
  });

  test("a backend makes a session, writes into it, lists it and deletes it", async () => {
    const http = new HttpClient(URL);
    const made = await http.createSession({
      title: "Trip",
      policy: { agents: ["bot"], doubleTexting: "steer" },
    });
    const message = await http.send(made.id, "Lisbon?", { id: "m1", to: ["bot"] });
    expect(await http.send(made.id, "Lisbon?", { id: "m1", to: ["bot"] })).toEqual(message);
    expect(message).toMatchObject({ id: "m1", role: "user", text: "Lisbon?", to: ["bot"], verified: true });
    expect(await http.session(made.id)).toMatchObject({ id: made.id, title: "Trip" });
    const ana = join(made.id, "ana");
    await ana.waitSynced();
    expect(ana.policy).toMatchObject({ agents: ["bot"], doubleTexting: "steer" });
    expect(ana.messages.all.map(({ id }) => id)).toEqual(["m1"]);
    const listed: string[] = [];
    for await (const { id } of http.sessions({ occupied: true })) listed.push(id);
    expect(listed).toContain(made.id);
    for await (const { id } of http.sessions({ limit: 1 })) expect(id).toBe(made.id);
    await expect(http.createSession({ id: made.id })).rejects.toBeInstanceOf(Conflict);
    await expect(http.cancel(made.id, "none")).rejects.toMatchObject({ kind: "run" });
    await http.deleteSession(made.id);
    await expect(http.session(made.id)).rejects.toBeInstanceOf(Gone);
    await expect(http.session(fresh())).rejects.toBeInstanceOf(NotFound);
    await expect(http.send(made.id, [])).rejects.toBeInstanceOf(CosessionError);
  });
});
