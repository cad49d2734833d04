/**
 * Faults at every point where a listener, IndexedDB, a socket or the encoder can throw. One invariant: what the page calls
 * saved is at the server, and what isn't saved is said.
 */

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import * as Y from "yjs";
import { type Copy, connect, type Refusal, type Session } from "../src/index.ts";
import { seeded } from "./documents.ts";
import { TestServer } from "./server.ts";
import { eventually, open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
  vi.restoreAllMocks();
});

function cyclic(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

/** Errors of listeners are the page's uncaught ones: they are collected here. */
function collectUncaught(): unknown[] {
  const uncaught: unknown[] = [];
  const plan = globalThis.queueMicrotask;
  vi.spyOn(globalThis, "queueMicrotask").mockImplementation((task) =>
    plan(() => {
      try {
        task();
      } catch (error) {
        uncaught.push(error);
      }
    }),
  );
  return uncaught;
}

function texts(session: Session): string[] {
  return session.messages.all.map(({ text }) => text).sort();
}

/** Fails the test when the page calls something saved that the server hasn't. */
function watchSaved(session: Session): void {
  const look = (): void => {
    if (!session.saved) return;
    const [here, there] = [clocks(session.doc), clocks(server.doc)];
    for (const [client, clock] of here) expect(there.get(client) ?? 0).toBeGreaterThanOrEqual(clock);
  };
  session.on("saved", look);
  session.on("change", look);
}

function clocks(doc: Y.Doc): Map<number, number> {
  return Y.decodeStateVector(Y.encodeStateVector(doc));
}

function contents(doc: Y.Doc): unknown {
  return [doc.getArray("messages").toJSON(), doc.getMap("state").toJSON(), String(doc.getText("text:notes"))];
}

const EVENTS = [
  "beforeAllTransactions",
  "beforeTransaction",
  "beforeObserverCalls",
  "afterTransaction",
  "afterTransactionCleanup",
  "update",
  "updateV2",
  "afterAllTransactions",
] as const;

/** Where an application may listen, and how. */
const PLACES: Readonly<Record<string, (session: Session, listener: () => void) => void>> = {
  ...Object.fromEntries(
    EVENTS.map((event) => [
      event,
      (session: Session, listener: () => void) => session.doc.on(event, listener),
    ]),
  ),
  "observe of a type": ({ doc }, listener) => doc.getArray("messages").observe(listener),
  observeDeep: ({ doc }, listener) => doc.getArray("messages").observeDeep(listener),
  "change of awareness": ({ awareness }, listener) => awareness.on("change", listener),
  "update of awareness": ({ awareness }, listener) => awareness.on("update", listener),
  "messages of the session": (session, listener) => session.on("messages", listener),
  "change of the session": (session, listener) => session.on("change", listener),
  "saved of the session": (session, listener) => session.on("saved", listener),
  "presence of the session": (session, listener) => session.on("presence", listener),
};

for (const often of ["once", "always"]) {
  test.each(Object.keys(PLACES))(
    `a listener of %s that throws ${often} stops neither sending nor views`,
    async (place) => {
      const uncaught = collectUncaught();
      const [ana, ben] = [
        open(server.url, "trip", { participant: "ana" }),
        open(server.url, "trip", { participant: "ben" }),
      ];
      await Promise.all([ana.waitSynced(), ben.waitSynced()]);
      watchSaved(ana);
      let thrown = 0;
      let isOver = false;
      PLACES[place]?.(ana, () => {
        if (isOver || (often === "once" && thrown > 0)) return;
        thrown += 1;
        throw new Error("quota");
      });
      let told = 0;
      ana.on("messages", () => {
        told += 1;
      });
      for (const text of ["one", "two", "three"]) ana.send(text);
      ana.presence.set({ typing: true });
      ben.send("from ben");
      ben.presence.set({ typing: true });
      const all = ["from ben", "one", "three", "two"];
      await until(ben, () => ben.messages.all.length === 4 && ben.presence.others[0]?.fields.typing === true);
      await until(ana, () => ana.messages.all.length === 4 && ana.presence.others[0]?.fields.typing === true);
      expect([texts(ana), texts(ben)]).toEqual([all, all]);
      await ana.waitSaved();
      expect(told).toBeGreaterThanOrEqual(4);
      expect(thrown).toBeGreaterThan(0);
      expect(uncaught.length).toBeGreaterThan(0);
      isOver = true;
    },
  );
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "through any sequence of faults, what is called saved is at the server, seed %i",
  { timeout: 120_000 },
  async (seed) => {
    collectUncaught();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const random = seeded(seed);
    const opened = databases();
    const [ana, ben] = [
      open(server.url, `random-${seed}`, { participant: "ana", offline: true }),
      open(server.url, `random-${seed}`, { participant: "ben" }),
    ];
    await Promise.all([ana.waitSynced(), ben.waitSynced()]);
    for (const session of [ana, ben]) watchSaved(session);
    let armed = 0;
    let isSocketBroken = false;
    const { send } = WebSocket.prototype;
    vi.spyOn(WebSocket.prototype, "send").mockImplementation(function (this: WebSocket, data) {
      if (!isSocketBroken) return send.call(this, data);
      isSocketBroken = false;
      throw new Error("gone");
    });
    for (const listen of Object.values(PLACES))
      listen(ana, () => {
        if (armed <= 0) return;
        armed -= 1;
        throw new Error("armed");
      });
    const acts: (() => unknown)[] = [
      () => ana.send(`ana ${random(1_000)}`),
      () => ana.state.set(`k${random(3)}`, random(1_000)),
      () => ana.text("notes").insert(0, "a😀".repeat(1 + random(9))),
      () => ana.text("notes").delete(0, Math.min(ana.text("notes").length, 3 * random(3))),
      () => ana.doc.transact(() => [ana.send("one of two"), ana.send("two of two")]),
      () => ben.send(`ben ${random(1_000)}`),
      () => ben.state.set(`k${random(3)}`, random(1_000)),
      () => {
        armed = 1 + random(4);
      },
      () => server.drop(),
      () => {
        server.holding = true;
      },
      () => server.release(),
      () => {
        for (const database of opened.splice(0)) database.close();
      },
      () => {
        isSocketBroken = true;
      },
      () => new Promise((resolve) => setTimeout(resolve, random(30))),
    ];
    for (let count = 0; count < 150; count += 1) {
      try {
        await acts[random(acts.length)]?.();
      } catch (error) {
        expect(error).toEqual(new Error("armed")); // Yjs gives it to who wrote without the session
      }
    }
    armed = 0;
    isSocketBroken = false;
    server.release();
    for (const session of [ana, ben]) session.reconnect(); // the pauses have grown
    await vi.waitFor(
      () => {
        expect([ana, ben].map(({ status, saved }) => [status, saved])).toEqual(
          Array(2).fill(["online", true]),
        );
        expect(contents(ana.doc)).toEqual(contents(server.doc));
        expect(contents(ben.doc)).toEqual(contents(server.doc));
      },
      { timeout: 60_000, interval: 50 },
    );
  },
);

test("what Yjs leaves behind when it can't encode a change for a listener is carried out after the task", async () => {
  collectUncaught();
  const [ana, ben] = [
    open(server.url, "trip", { participant: "ana" }),
    open(server.url, "trip", { participant: "ben" }),
  ];
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  watchSaved(ana);
  ana.doc.on("update", () => {});
  vi.spyOn(Y.UpdateEncoderV1.prototype, "toUint8Array").mockImplementationOnce(() => {
    throw new Error("lib0");
  });
  let seen = 0;
  ana.doc.getMap("state").observe(() => {
    seen += 1;
  });
  ana.state.set("a", 0);
  expect(ana.saved).toBe(false);
  for (let count = 1; count < 1_000; count += 1) ana.state.set("a", count);
  expect(ana.saved).toBe(false);
  await ana.waitSaved();
  expect(seen).toBe(1_000);
  expect(server.doc.getMap("state").get("a")).toBe(999);
  ana.state.set("a", "after that");
  await until(ben, () => ben.state.get("a") === "after that");
});

test("what the server sends and no listener can be told of as an update stops nothing", async () => {
  collectUncaught();
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  ana.doc.on("update", () => {});
  // A value {"__proto__": bytes}, as a foreign client may write it: lib0 can read it, and can't write it again.
  const name = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)];
  const value = [0x76, 1, ...name("__proto__"), 0x74, 1, 0xff];
  const update = [1, 1, 9, 0, 0x28, 1, ...name("selections"), ...name("mal/x"), 1, ...value, 0];
  server.tell(Uint8Array.from(update));
  await until(ana, () => ana.doc.getMap("selections").size === 1);
  ana.send("written after that");
  await ana.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("what can't be sent is told as lost, and the session goes on", async () => {
  collectUncaught();
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  watchSaved(ana);
  const told: Refusal[] = [];
  ana.on("refused", (loss) => told.push(loss));
  const { doc } = ana;
  ana.text("notes").insert(0, "written with it");
  ana.text("notes").y.insertEmbed(0, { n: 5n });
  expect(ana.saved).toBe(false);
  await eventually(() => expect(told.length).toBe(1));
  expect(told[0]).toMatchObject({ code: "document.unsendable", lost: ["written with it"], final: false });
  expect(ana.doc).not.toBe(doc);
  ana.send("goes on");
  await ana.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("a value of the document that is larger than a frame is told as lost", async () => {
  server.grant = { id: "ana", name: "Ana", kind: "human", capabilities: ["admin"], life: null };
  server.limits = { frame_bytes: 8 * 2 ** 20, structs: 100_000, presence_bytes: 65_536 };
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  const refused = new Promise<Refusal>((resolve) => ana.on("refused", resolve));
  ana.doc.getMap("own").set("photo", "x".repeat(9 * 2 ** 20));
  expect(await refused).toMatchObject({ code: "frame.too_large", close: 4413, final: false });
  ana.send("goes on");
  await ana.waitSaved();
});

test("a server that can't be read ends the session with its error, and tells the unsaved words", async () => {
  collectUncaught();
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  server.holding = true;
  const refused = new Promise<Refusal>((resolve) => ana.on("refused", resolve));
  ana.send("not saved yet");
  server.tell(Uint8Array.from([1, 1, 9, 0, 0x1f, 1]));
  expect(await refused).toMatchObject({ code: "server.unreadable", lost: ["not saved yet"], final: true });
  expect(ana.status).toBe("closed");
  expect(ana.saved).toBe(false);
  await expect(ana.waitSaved()).rejects.toThrow("can't read what the server sent");
  expect(server.queries.length).toBe(1);

  server.holding = false;
  ana.reconnect();
  await ana.waitSynced();
  expect(ana.status).toBe("online");
  ana.send("goes on");
  await ana.waitSaved();
});

test("presence of another page that can't be read ends nothing", async () => {
  const uncaught = collectUncaught();
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  server.sendAll(Uint8Array.from([1, 6, 1, 7, 1, 2, 0x7b, 0x7b]));
  await eventually(() => expect(uncaught.length).toBe(1));
  ana.send("goes on");
  await ana.waitSaved();
});

test("a socket that throws when something is sent is another lost connection", async () => {
  const uncaught = collectUncaught();
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  watchSaved(ana);
  vi.spyOn(WebSocket.prototype, "send").mockImplementationOnce(() => {
    throw new Error("gone");
  });
  ana.send("one");
  await ana.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
  expect(uncaught.length).toBe(1);
});

test.each([
  ["a BigInt", 5n],
  ["a cycle", cyclic()],
  ["80 KB", "x".repeat(80_000)],
])(
  "presence that a plugin sets to %s is told as refused, and doesn't hide its person",
  async (_name, value) => {
    const [ana, ben] = [
      open(server.url, "trip", { participant: "ana" }),
      open(server.url, "trip", { participant: "ben" }),
    ];
    await until(ben, () => ben.presence.others.length === 1);
    const refused = new Promise<Refusal>((resolve) => ana.on("refused", resolve));
    ana.awareness.setLocalStateField("cursor", value);
    expect(await refused).toMatchObject({ touched: "presence", lost: [], final: false });
    ana.awareness.setLocalStateField("cursor", { anchor: 1 });
    await until(ben, () => JSON.stringify(ben.presence.others[0]?.fields.cursor) === '{"anchor":1}');
    expect(ana.status).toBe("online");
  },
);

/** The databases that are opened from now on. */
function databases(): IDBDatabase[] {
  const opened: IDBDatabase[] = [];
  const opening = indexedDB.open.bind(indexedDB);
  vi.spyOn(indexedDB, "open").mockImplementation((...given) => {
    const request = opening(...given);
    request.addEventListener("success", () => opened.push(request.result));
    return request;
  });
  return opened;
}

/** What a reload without a network shows. */
async function reloaded(id: string): Promise<string[]> {
  await server.stop();
  const after = connect(server.url, id, { participant: "ana", offline: true });
  onTestFinished(() => after.close());
  await eventually(() => expect(after.copy).toBe("kept"));
  return texts(after);
}

/** Waits for what a copy is, and for it to be at rest. */
async function untilCopy(session: Session, copy: Copy): Promise<void> {
  await eventually(() => expect(session.copy).toBe(copy));
}

const CLOSINGS: Readonly<Record<string, (opened: IDBDatabase[]) => void>> = {
  "closed without a word": (opened) => {
    for (const database of opened) database.close();
  },
  "closed by the browser": (opened) => {
    for (const database of opened) {
      database.close();
      database.onclose?.call(database, new Event("close"));
    }
  },
  "asked for by another version": (opened) => {
    for (const database of opened)
      database.onversionchange?.call(database, { newVersion: 2 } as IDBVersionChangeEvent);
  },
  "out of room": () => {
    vi.spyOn(IDBObjectStore.prototype, "add").mockImplementationOnce(() => {
      throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
    });
  },
  "aborting a transaction": () => {
    const add = IDBObjectStore.prototype.add;
    vi.spyOn(IDBObjectStore.prototype, "add").mockImplementationOnce(function (this: IDBObjectStore, value) {
      const request = add.call(this, value);
      this.transaction.abort();
      return request;
    });
  },
};

test.each(Object.entries(CLOSINGS))(
  "an IndexedDB that is %s is said, opened again, and loses nothing",
  async (_name, close) => {
    const id = `copy-${Math.random()}`;
    const opened = databases();
    const ana = connect(server.url, id, { participant: "ana", offline: true });
    await ana.waitSynced();
    watchSaved(ana);
    ana.send("before");
    await ana.waitSaved();
    const said: Copy[] = [];
    ana.on("copy", (copy) => said.push(copy));
    close(opened);
    ana.send("after 1");
    ana.state.set("x", 1);
    await ana.waitSaved();
    await untilCopy(ana, "failed");
    await untilCopy(ana, "kept");
    expect(said).toEqual(["failed", "kept"]);
    ana.send("after 2");
    await ana.waitSaved();
    expect(server.doc.getArray("messages").length).toBe(3);
    ana.close();
    expect(await reloaded(id)).toEqual(["after 1", "after 2", "before"]);
  },
);

test("a copy that another tab discards is given up, said, and not made again", async () => {
  const id = `copy-${Math.random()}`;
  const ana = open(server.url, id, { participant: "ana", offline: true });
  await ana.waitSynced();
  ana.send("before");
  await ana.waitSaved();
  const other = connect(server.url, id, { participant: "ana", offline: true });
  await other.waitSynced();
  await other.discard();
  await untilCopy(ana, "failed");
  ana.send("after");
  await ana.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(2);
  expect((await indexedDB.databases()).filter(({ name }) => name?.includes(id))).toEqual([]);
});

test("a copy that can't be read at first is read later, with the words that only it has", async () => {
  const id = `copy-${Math.random()}`;
  await server.stop();
  const before = connect(server.url, id, { participant: "ana", offline: true });
  await untilCopy(before, "kept");
  before.send("only here");
  before.close();

  await server.restart();
  const getAll = IDBObjectStore.prototype.getAll;
  vi.spyOn(IDBObjectStore.prototype, "getAll").mockImplementationOnce(function (this: IDBObjectStore) {
    const request = getAll.call(this);
    this.transaction.abort();
    return request;
  });
  const after = open(server.url, id, { participant: "ana", offline: true });
  await untilCopy(after, "failed");
  await untilCopy(after, "kept");
  expect(texts(after)).toEqual(["only here"]);
  await after.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("a copy that another tab discards while it is read isn't made again", async () => {
  const id = `copy-${Math.random()}`;
  await server.stop();
  const before = connect(server.url, id, { participant: "ana", offline: true });
  await untilCopy(before, "kept");
  before.send("of whom logs out");
  before.close();

  const getAll = IDBObjectStore.prototype.getAll;
  vi.spyOn(IDBObjectStore.prototype, "getAll").mockImplementationOnce(function (this: IDBObjectStore) {
    const { db } = this.transaction;
    db.onversionchange?.call(db, { newVersion: null } as IDBVersionChangeEvent);
    return getAll.call(this);
  });
  const after = open(server.url, id, { participant: "ana", offline: true });
  await untilCopy(after, "failed");
  indexedDB.deleteDatabase((await indexedDB.databases()).find(({ name }) => name?.includes(id))?.name ?? "");
  await server.restart();
  after.send("after");
  await after.waitSaved();
  expect(after.copy).toBe("failed");
  expect((await indexedDB.databases()).filter(({ name }) => name?.includes(id))).toEqual([]);
});

test("many edits become one update of the copy, with those of another tab", async () => {
  const id = `copy-${Math.random()}`;
  await server.stop();
  const tabs = [1, 2].map(() => connect(server.url, id, { participant: "ana", offline: true }));
  for (const tab of tabs) await untilCopy(tab, "kept");
  for (let count = 0; count < 600; count += 1) {
    for (const [index, tab] of tabs.entries()) tab.state.set(`tab${index}`, count);
    await Promise.resolve();
  }
  tabs[1]?.send("from the other tab");
  for (const tab of tabs) tab.close();
  const after = open(server.url, id, { participant: "ana", offline: true });
  await untilCopy(after, "kept");
  expect(after.state.value).toEqual({ tab0: 599, tab1: 599 });
  expect(texts(after)).toEqual(["from the other tab"]);
  await server.restart();
});

test("a damaged update in the copy costs itself, and not the session", async () => {
  const id = `copy-${Math.random()}`;
  const before = connect(server.url, id, { participant: "ana", offline: true });
  await before.waitSynced();
  before.send("whole");
  await before.waitSaved();
  before.close();
  const name = (await indexedDB.databases()).find((each) => each.name?.includes(id))?.name ?? "";
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open(name);
    request.onsuccess = () => resolve(request.result);
  });
  const damaging = database.transaction(["updates"], "readwrite");
  damaging.objectStore("updates").add(Uint8Array.from([1, 1, 9, 0, 0x1f]));
  await new Promise((resolve) => {
    damaging.oncomplete = resolve;
  });
  database.close();
  expect(await reloaded(id)).toEqual(["whole"]);
  await server.restart();
});

test("presence that the server doesn't take is told as refused, and the session goes on", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  const refused = new Promise<Refusal>((resolve) => ana.on("refused", resolve));
  server.notify({ code: "too-large", reason: "Presence is too large.", touched: "presence", final: false });
  expect(await refused).toEqual({
    code: "too-large",
    close: null,
    reason: "Presence is too large.",
    touched: "presence",
    lost: [],
    update: null,
    final: false,
  });
  expect([ana.status, ana.error]).toEqual(["online", null]);
});
