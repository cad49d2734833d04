/** The client over HTTP, with a server that answers as the tests say; `live.test.ts` has it against a real one. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HttpClient } from "../src/http.ts";
import { Conflict, CosessionError, InvalidValue, NotAllowed, TimedOut, Unavailable } from "../src/index.ts";

const listener = createServer((request, response) => answer(request, response));
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let url: string;

beforeEach(async () => {
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
});

afterEach(async () => {
  listener.closeAllConnections();
  await new Promise((resolve) => listener.close(resolve));
});

function say(status: number, body: unknown): typeof answer {
  return (_, response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

const INFO = { id: "a/b", title: "Trip", created_at: "t0", updated_at: "t1", version: 3, connections: 2 };

test("a session is read under its encoded id, with a fresh token for each request", async () => {
  const asked: (string | undefined)[] = [];
  answer = (request, response) => {
    asked.push(request.url, request.headers.authorization);
    say(200, INFO)(request, response);
  };
  let count = 0;
  const http = new HttpClient(`${url}/base/`, { token: async () => `t${++count}` });
  expect(await http.session("a/b")).toEqual({
    id: "a/b",
    title: "Trip",
    createdAt: "t0",
    updatedAt: "t1",
    version: 3,
    connections: 2,
  });
  await http.session("a/b");
  expect(asked).toEqual(["/base/sessions/a%2Fb", "Bearer t1", "/base/sessions/a%2Fb", "Bearer t2"]);
});

test("a list is fetched page by page, up to its limit", async () => {
  const asked: string[] = [];
  answer = (request, response) => {
    asked.push(request.url ?? "");
    const next = asked.length < 3 ? `c${asked.length}` : null;
    say(200, { sessions: [{ ...INFO, id: `s${asked.length}` }], next })(request, response);
  };
  const http = new HttpClient(url);
  const found: string[] = [];
  for await (const { id } of http.sessions()) found.push(id);
  expect(found).toEqual(["s1", "s2", "s3"]);
  expect(asked).toEqual([
    "/sessions?limit=100",
    "/sessions?limit=100&after=c1",
    "/sessions?limit=100&after=c2",
  ]);
  asked.length = 0;
  found.length = 0;
  for await (const { id } of http.sessions({ limit: 2, occupied: true })) found.push(id);
  expect(found.length).toBe(2);
  expect(asked[0]).toBe("/sessions?limit=2&occupied=1");
});

test.each([
  [409, { code: "session.exists", detail: "It exists." }, Conflict, "It exists."],
  [403, { code: "auth.forbidden", title: "Forbidden" }, NotAllowed, "Forbidden"],
  [422, { code: "request.invalid", detail: "No." }, InvalidValue, "No."],
  [503, "<html>", Unavailable, "The server answered 503."],
  [404, "<html>", CosessionError, "The server answered 404."],
  [200, "<html>", CosessionError, "isn't one of a session server"],
  [200, [], CosessionError, "isn't one of a session server"],
])("an answer of status %i is the error of its code", async (status, body, type, message) => {
  answer = say(status, body);
  const asking = new HttpClient(url).createSession({ id: "trip" });
  await expect(asking).rejects.toBeInstanceOf(type);
  await expect(asking).rejects.toThrow(message);
});

test("a server that doesn't answer in time, or isn't there, is said", async () => {
  answer = () => {};
  const late = new HttpClient(url, { timeoutSeconds: 0.05 }).session("trip");
  await expect(late).rejects.toBeInstanceOf(TimedOut);
  const nowhere = new HttpClient("http://127.0.0.1:9").session("trip");
  await expect(nowhere).rejects.toMatchObject({ code: "server.unreachable", retryable: true });
  await expect(new HttpClient(url).session("..")).rejects.toBeInstanceOf(InvalidValue);
});

test("an invitation and a revocation say what the server made", async () => {
  const bodies: unknown[] = [];
  answer = (request, response) => {
    const isInvitation = request.url?.endsWith("/invitations");
    request.on("data", (data: Buffer) => bodies.push(JSON.parse(data.toString())));
    request.on("end", () => {
      const made = isInvitation ? { token: "t", participant: "p", expires_at: 0, id: "i" } : { id: "r1" };
      say(201, made)(request, response);
    });
  };
  const http = new HttpClient(url);
  expect(await http.invite("trip", { role: "viewer", name: "Cleo" })).toEqual({
    token: "t",
    participant: "p",
    expiresAt: "1970-01-01T00:00:00.000Z",
  });
  expect(await http.revoke({ participant: "p" })).toEqual({ id: "r1" });
  expect(bodies).toEqual([{ role: "viewer", name: "Cleo" }, { participant: "p" }]);
});
