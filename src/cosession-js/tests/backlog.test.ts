/** What waits for the server goes within its limits, and is saved when all of it is there. */

import { afterEach, beforeEach, expect, test } from "vitest";
import type { FilePart } from "../src/index.ts";
import { InvalidValue, type Refusal } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

const GRANT = { id: "ana", name: "Ana", kind: "human", capabilities: ["admin"], life: null };

test("photos that were sent without a network arrive, each in a frame of its own", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  await server.stop();
  await until(ana, () => ana.status === "offline");
  const photo: FilePart = {
    type: "file",
    mediaType: "image/jpeg",
    url: `data:image/jpeg;base64,${"A".repeat(5 * 2 ** 20)}`,
  };
  for (let count = 0; count < 2; count += 1) ana.send([{ type: "text", text: "look" }, photo]);
  ana.send("and a word");
  await server.restart();
  await ana.waitSaved();
  expect(server.doc.getArray("messages").length).toBe(3);
  expect(server.largest).toBeLessThan(8 * 2 ** 20);
  expect(server.steps.filter((step) => step !== 0).slice(-4)).toEqual([1, 1, 1, 102]);
});

test("a photo of ten megabytes arrives, in a message and as a value of its own", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  const url = `data:image/jpeg;base64,${"A".repeat(10 * 2 ** 20)}`;
  ana.send([{ type: "file", mediaType: "image/jpeg", url }]);
  ana.state.set("photo", url);
  await ana.waitSaved();
  expect(server.doc.getMap("state").get("photo")).toHaveLength(url.length);
  expect(server.doc.getArray("messages").length).toBe(1);
});

test("the limits that the server announces hold for everything that is sent", async () => {
  server.grant = GRANT;
  server.limits = {
    frame_bytes: 2_000,
    structs: 100,
    presence_bytes: 500,
    value_bytes: 1_500,
    value_entries: 90,
  };
  const ana = open(server.url, "trip", { participant: "ana" });
  const losses: Refusal[] = [];
  ana.on("refused", (loss) => losses.push(loss));
  for (let count = 0; count < 100; count += 1) ana.send(`before ${count} ${"x".repeat(count)}`);
  await ana.waitSynced();
  expect(ana.limits).toEqual({
    frameBytes: 2_000,
    structs: 100,
    presenceBytes: 500,
    valueBytes: 1_500,
    valueEntries: 90,
  });
  for (let count = 0; count < 100; count += 1) ana.state.set(`k${count}`, "y".repeat(100));
  ana.text("notes").insert(0, "😀".repeat(5_000));
  expect(() => ana.send("x".repeat(2_000))).toThrow(InvalidValue);
  expect(() => ana.presence.set({ selected: "x".repeat(500) })).toThrow(InvalidValue);
  ana.doc.transact(() => {
    for (let count = 0; count < 100; count += 1) ana.state.delete(`k${count}`);
    ana.text("notes").delete(0, 5_000);
  });
  await ana.waitSaved();
  expect(losses).toEqual([]);
  expect(server.largest).toBeLessThanOrEqual(2_000);
  expect(server.doc.getArray("messages").length).toBe(100);
  expect(server.doc.getMap("state").size).toBe(0);
  expect(String(server.doc.getText("text:notes"))).toBe("😀".repeat(2_500));
});

test("260,000 small changes without a network are saved", { timeout: 120_000 }, async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSynced();
  await server.stop();
  await until(ana, () => ana.status === "offline");
  const map = ana.doc.getMap("own");
  ana.doc.transact(() => {
    for (let count = 0; count < 260_000; count += 1) map.set(`k${count}`, count);
  });
  await server.restart();
  await ana.waitSaved();
  expect(server.doc.getMap("own").size).toBe(260_000);
});

test("changes of one task travel together, and before the presence that points into them", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  await ana.waitSaved();
  await ana.waitSynced();
  const frames = server.received[0] as number[];
  const before = frames.length;
  ana.presence.set({ cursor: 1 });
  for (let count = 0; count < 100; count += 1) ana.text("notes").insert(count, "a");
  await ana.waitSaved();
  expect(frames.slice(before)).toEqual([0, 1, 102]);
});

test("what is sent right before close() arrives", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  const ben = open(server.url, "trip", { participant: "ben" });
  await Promise.all([ana.waitSynced(), ben.waitSynced()]);
  ana.send("and off");
  ana.close();
  await until(ben, () => ben.messages.all.length === 1);
});

test("a session name travels whole, whatever is in it", async () => {
  for (const name of ["org/doc", "a b:c@d+e", "_x", "日本", "100%", "a?b#c"]) {
    const ana = open(server.url, name, { participant: "ana" });
    await ana.waitSynced();
    expect(decodeURIComponent(server.paths.at(-1) ?? "")).toBe(`/sync/${name}`);
    expect(server.paths.at(-1)?.split("/").length).toBe(3);
    ana.close();
  }
});
