/** The server's codes as classes of errors; waiting with a time; iteration over events. */

import { afterEach, beforeEach, expect, test } from "vitest";
import * as Y from "yjs";
import { errorFrom } from "../src/errors.ts";
import * as client from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(async () => {
  await server.end();
});

test.each([
  ["auth.forbidden", client.NotAllowed, false],
  ["auth.required", client.NotAuthenticated, false],
  ["run.unknown", client.NotFound, false],
  ["session.deleted", client.Gone, false],
  ["run.ended", client.Conflict, false],
  ["approval.closed", client.Conflict, false],
  ["request.invalid", client.InvalidValue, false],
  ["limit.too_large", client.InvalidValue, false],
  ["claim.held", client.ClaimHeld, true],
  ["server.full", client.Unavailable, true],
  ["server.shutting_down", client.Unavailable, true],
  ["of.another.version", client.CosessionError, false],
])("the code %s is an error of its class", (code, type, retryable) => {
  const error = errorFrom(code, "A sentence.", { touched: "requests/*", id: "r1" });
  expect(error).toBeInstanceOf(type);
  expect(error).toBeInstanceOf(client.CosessionError);
  expect(error).toMatchObject({ code, message: "A sentence.", retryable });
});

test("an unknown run is named in the error", () => {
  expect(errorFrom("run.unknown", "No.", { id: "r1" })).toMatchObject({ kind: "run", id: "r1" });
});

test("waiting for what doesn't come in time fails with TimedOut, and the wish stays", async () => {
  const session = open(server.url, "trip", { participant: "ana" });
  await session.waitSynced({ timeoutSeconds: 60 });
  server.holding = true;
  session.send("hello");
  await expect(session.waitSaved({ timeoutSeconds: 0.01 })).rejects.toBeInstanceOf(client.TimedOut);
  const request = session.cancel("r1");
  await expect(request.outcome({ timeoutSeconds: 0.01 })).rejects.toBeInstanceOf(client.TimedOut);
  expect(session.doc.getMap("requests").size).toBe(1);
  await expect(session.waitSaved({ timeoutSeconds: Number.NaN })).rejects.toBeInstanceOf(client.InvalidValue);
  server.release();
  await session.waitSaved({ timeoutSeconds: 60 });
});

test("the end of a session is told once, with its reason, to all that wait for it", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  expect(session.error).toBeNull();
  const closed = session.waitClosed();
  server.drop(4410, "The session was deleted.");
  const error = await closed;
  expect(error).toBe(session.error);
  expect(error).toMatchObject({ close: 4410, code: "session.deleted", lost: [] });
  session.close();
  expect(session.error).toMatchObject({ close: null });
  await expect(session.waitClosed()).resolves.toMatchObject({ close: null });
});

test("a slow reader of an event gets the latest value, and the iteration ends with the session", async () => {
  const session = open(server.url, "trip");
  const titles: string[] = [];
  const reading = (async () => {
    for await (const title of session.watch("title")) titles.push(title);
  })();
  await Promise.resolve();
  for (const title of ["a", "b", "c"]) session.setTitle(title);
  await until(session, () => session.saved);
  expect(titles).toEqual(["c"]);
  session.close();
  await reading;
});

test("an iteration that the server ends throws the reason", async () => {
  const session = open(server.url, "trip");
  await session.waitSynced();
  const next = session.watch("title")[Symbol.asyncIterator]().next();
  server.drop(4410, "The session was deleted.");
  await expect(next).rejects.toBeInstanceOf(client.Disconnected);
});

test("an iteration that its reader leaves listens no longer", async () => {
  const session = open(server.url, "trip");
  const reader = session.watch("title")[Symbol.asyncIterator]();
  session.setTitle("a");
  expect(await reader.next()).toEqual({ done: false, value: "a" });
  const waiting = reader.next();
  await reader.return?.();
  session.setTitle("b");
  expect(await waiting).toEqual({ done: true, value: undefined });
});

test("a refusal brings what is lost as an update", async () => {
  server.forbidden = (doc) => JSON.stringify(doc.getArray("messages").toJSON()).includes("forbidden");
  const session = open(server.url, "trip");
  await session.waitSynced();
  session.setTitle("saved");
  await session.waitSaved();
  const refused = new Promise<client.Refusal>((resolve) => session.on("refused", resolve));
  session.send("forbidden");
  const { update } = await refused;
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(server.doc));
  Y.applyUpdate(copy, update as Uint8Array);
  expect(copy.getArray("messages").toJSON()).toMatchObject([{ parts: [{ text: "forbidden" }] }]);
});

test("a session that is disposed of is saved first", async () => {
  const session = open(server.url, "trip");
  session.send("hello");
  await session[Symbol.asyncDispose]();
  expect(server.doc.getArray("messages").length).toBe(1);
  expect(session.status).toBe("closed");
});
