/** What becomes of a request: accepted, refused, or lost with its session; and what a page may not ask at all. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as Y from "yjs";
import { Disconnected, NotAllowed, type Refusal, type Session } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { eventually, open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

async function join(): Promise<Session> {
  const session = open(server.url, "trip", { participant: "ana" });
  await session.waitSynced();
  return session;
}

/** Waits for the requests to be at the server. */
async function arrived(count: number): Promise<Y.Map<unknown>> {
  const requests = server.doc.getMap("requests");
  await eventually(() => expect(requests.size).toBe(count));
  return requests;
}

const ASKING: Readonly<Record<string, (session: Session) => { outcome(): Promise<unknown> }>> = {
  cancel: (session) => session.cancel("r1"),
  steer: (session) => session.steer("r1", "by train"),
  vote: (session) => session.approvals.vote("a1", "approved"),
  setPolicy: (session) => session.policy.set({ doubleTexting: "queue" }),
};

test.each(Object.entries(ASKING))(
  "%s is accepted when the server takes it away without a word",
  async (_name, ask) => {
    const ana = await join();
    const outcome = ask(ana).outcome();
    (await arrived(1)).clear();
    expect(await outcome).toMatchObject({ accepted: true, error: null });
  },
);

test.each(Object.entries(ASKING))(
  "%s that the server refuses says why, and the session goes on",
  async (_name, ask) => {
    const ana = await join();
    const told = vi.fn();
    ana.on("refused", told);
    const outcome = ask(ana).outcome();
    const requests = await arrived(1);
    const [request] = requests.keys();
    server.notify({
      code: "auth.forbidden",
      reason: "Not yours.",
      touched: "requests/*",
      request,
      final: false,
    });
    requests.clear();
    const { accepted, error } = (await outcome) as { accepted: boolean; error: unknown };
    expect(accepted).toBe(false);
    expect(error).toBeInstanceOf(NotAllowed);
    expect(error).toMatchObject({ message: "Not yours.", touched: "requests/*" });
    expect(ana.status).toBe("online");
    expect(told).not.toHaveBeenCalled();
  },
);

test.each(Object.entries(ASKING))(
  "%s whose outcome no one reads tells its refusal as an event",
  async (_name, ask) => {
    const ana = await join();
    const refused = new Promise<Refusal>((resolve) => ana.on("refused", resolve));
    ask(ana);
    const [request] = (await arrived(1)).keys();
    server.notify({ code: "auth.forbidden", reason: "Not yours.", request, final: false });
    expect(await refused).toEqual({
      code: "auth.forbidden",
      close: null,
      reason: "Not yours.",
      touched: "",
      lost: [],
      update: null,
      final: false,
    });
  },
);

test.each(Object.entries(ASKING))(
  "%s without the capability is refused at once, and nothing is written",
  async (_name, ask) => {
    server.grant = { id: "ana", name: "Ana", kind: "human", capabilities: ["read", "prompt"], life: null };
    const ana = await join();
    await until(ana, () => ana.me.capabilities !== null);
    expect(() => ask(ana)).toThrow(NotAllowed);
    expect(ana.doc.getMap("requests").size).toBe(0);
  },
);

test("a request that the server declines is no loss of what was written", async () => {
  const ana = await join();
  server.holding = true;
  ana.send("hello");
  ana.cancel("r1");
  const saved = ana.waitSaved();
  const [request] = (await arrived(1)).keys();
  const told = new Promise<Refusal>((resolve) => ana.on("refused", resolve));
  server.notify({ code: "run.ended", reason: "It is over.", request, final: false });
  expect((await told).reason).toBe("It is over.");
  server.release();
  await saved;
});

test("one of several capabilities is enough to ask", async () => {
  server.grant = { id: "ana", name: "Ana", kind: "human", capabilities: ["cancel-own"], life: null };
  const ana = await join();
  await until(ana, () => ana.me.capabilities !== null);
  ana.cancel("r1");
  ana.steer("r1", "by train");
  expect(() => ana.approvals.vote("a1", "approved")).toThrow("approve");
  expect(ana.doc.getMap("requests").size).toBe(2);
});

test.each([
  ["closes", (session: Session) => session.close()],
  ["is deleted", () => server.drop(4410, "The session was deleted.")],
])("a request that waits when its session %s fails", async (_name, end) => {
  const ana = await join();
  const outcome = ana.cancel("r1").outcome();
  const late = ana.steer("r1", "unread");
  await arrived(2);
  end(ana);
  await expect(outcome).rejects.toBeInstanceOf(Disconnected);
  await expect(late.outcome()).rejects.toBeInstanceOf(Disconnected);
});

test("what was decided while the connection was lost is read from the facts", async () => {
  const ana = await join();
  const steers = new Y.Array<unknown>();
  server.doc.getMap("runs").set("r1", new Y.Map<unknown>([["steers", steers]]));
  const [first, second] = [ana.steer("r1", "by train"), ana.steer("r1", "by car")];
  const outcomes = [first.outcome(), second.outcome()];
  const requests = await arrived(2);
  await server.stop();
  server.doc.transact(() => {
    requests.clear();
    steers.push([{ id: first.id, by: "ana", text: "by train", at: "t" }]);
  });
  await server.restart();
  const [one, other] = await Promise.all(outcomes);
  expect(one).toMatchObject({ accepted: true, error: null });
  expect(other).toMatchObject({ accepted: false, error: { code: "connection.lost" } });
});

test("a vote that is asked again counts as often as it was asked", async () => {
  const ana = await join();
  const outcomes = [ana.approvals.vote("a1", "approved"), ana.approvals.vote("a1", "rejected")].map((each) =>
    each.outcome(),
  );
  (await arrived(1)).clear();
  expect(await Promise.all(outcomes)).toMatchObject(Array(2).fill({ accepted: true, error: null }));
});
