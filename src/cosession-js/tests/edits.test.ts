/** Edits: what other participants change in the messages of this page's participant. */

import { afterEach, beforeEach, expect, test } from "vitest";
import type { Edit, Session } from "../src/index.ts";
import { TestServer } from "./server.ts";
import { open, until } from "./sessions.ts";

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(() => server.end());

async function join(participant: string): Promise<Session> {
  const session = open(server.url, "trip", { participant });
  await session.waitSynced();
  return session;
}

test("what others change in one's own message is told, with its author", async () => {
  const [ana, ben] = [await join("ana"), await join("ben")];
  await until(ana, () => ana.presence.others.length === 1);
  const edits: Edit[] = [];
  ana.on("edit", (edit) => edits.push(edit));
  const { id } = ana.send("two nights in Lisbon");
  await until(ben, () => ben.messages.all.length === 1);
  ben.messages.edit(id, "two nights in Porto");
  ben.send("a message of Ben's");
  await until(ana, () => ana.messages.all.length === 2);
  ben.messages.edit(ben.messages.all[1]?.id ?? "", "edited by himself");
  ana.messages.edit(id, "three nights in Porto");
  await until(ana, () => ana.messages.all[1]?.text === "edited by himself");
  expect(edits).toEqual([
    { message: id, by: "ben", before: "two nights in Lisbon", after: "two nights in Porto", verified: true },
  ]);
});

test("another tab of the same participant is no other, and a deletion has no text", async () => {
  const [ana, tab, ben] = [await join("ana"), await join("ana"), await join("ben")];
  await until(ana, () => ana.presence.others.length === 2);
  const { id } = ana.send("hello");
  const edits = ana.watch("edit")[Symbol.asyncIterator]();
  const first = edits.next();
  await until(tab, () => tab.messages.all.length === 1);
  tab.messages.edit(id, "hello again");
  await until(ben, () => ben.messages.all[0]?.text === "hello again");
  ben.messages.remove(id);
  expect((await first).value).toMatchObject({ message: id, before: "hello again", after: "" });
});

test("an author who isn't here is known by what the message says", async () => {
  const [ana, ben] = [await join("ana"), await join("ben")];
  const { id } = ana.send("hello");
  await until(ben, () => ben.messages.all.length === 1);
  const edit = new Promise<Edit>((resolve) => ana.on("edit", resolve));
  ben.awareness.setLocalState(null);
  await until(ana, () => ana.presence.others.length === 0);
  ben.messages.edit(id, "hello, all");
  expect(await edit).toEqual({
    message: id,
    by: "ben",
    before: "hello",
    after: "hello, all",
    verified: false,
  });
});
