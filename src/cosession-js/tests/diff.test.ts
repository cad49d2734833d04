/** Edits of texts: minimal, and never through the middle of a character. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import { diff, rewrite } from "../src/diff.ts";
import { merge, seeded } from "./documents.ts";

const WORDS = ["a", "b", " ", "é", "日本", "😀", "😁", "👩‍👩‍👧", "👍🏽", "🇵🇹", "\u0301", "\n"];

function phrase(random: (below: number) => number): string {
  return Array.from({ length: random(8) }, () => WORDS[random(WORDS.length)]).join("");
}

function texts(doc: Y.Doc, ...contents: string[]): Y.Text[] {
  return contents.map((content, number) => {
    const text = doc.getText(`${number}`);
    text.insert(0, content);
    return text;
  });
}

test.each([
  ["", "", { start: 0, end: 0, insert: "" }],
  ["hello", "hello", { start: 5, end: 5, insert: "" }],
  ["hello world", "hello, world", { start: 5, end: 5, insert: "," }],
  ["aaa", "aa", { start: 2, end: 3, insert: "" }],
  ["to Lisbon", "to Porto", { start: 3, end: 9, insert: "Porto" }],
  ["😀", "😁", { start: 0, end: 2, insert: "😁" }],
  ["x😀y", "x😁y", { start: 1, end: 3, insert: "😁" }],
  ["🍎", "🎎", { start: 0, end: 2, insert: "🎎" }],
])("%j to %j replaces only what differs", (before, after, expected) => {
  expect(diff(before, after)).toEqual(expected);
});

test("any text becomes any other, and every step is well-formed", () => {
  const random = seeded(7);
  for (let count = 0; count < 2_000; count += 1) {
    const [before, after] = [phrase(random), phrase(random)];
    const { start, end, insert } = diff(before, after);

    expect(before.slice(0, start) + insert + before.slice(end)).toBe(after);
    expect(insert.isWellFormed()).toBe(true);
    expect(before.slice(start, end).isWellFormed()).toBe(true);
  }
});

test("a change over several texts leaves their joint text as wanted", () => {
  const random = seeded(11);
  for (let count = 0; count < 500; count += 1) {
    const parts = texts(new Y.Doc(), ...Array.from({ length: 1 + random(3) }, () => phrase(random)));
    const wanted = phrase(random);
    rewrite(parts, wanted);
    expect(parts.join("")).toBe(wanted);
  }
});

test("two people who edit different ends of a text both keep their edit", () => {
  const [first, second] = [new Y.Doc(), new Y.Doc()];
  const [text] = texts(first, "👩‍👩‍👧 two nights in Lisbon 😀");
  merge(first, second);

  rewrite([text as Y.Text], "👩‍👩‍👧 three nights in Lisbon 😀");
  rewrite([second.getText("0")], "👩‍👩‍👧 two nights in Lisbon 😁");
  merge(first, second);

  expect(first.getText("0").toString()).toBe("👩‍👩‍👧 three nights in Lisbon 😁");
  expect(second.getText("0").toString()).toBe(first.getText("0").toString());
});

test("half a character that a page hands over is replaced, not sent", () => {
  const [text] = texts(new Y.Doc(), "ok");
  rewrite([text as Y.Text], "ok \ud83d");
  expect(text?.toString()).toBe("ok \ufffd");
});

const IMAGE = { image: "x.png" };

test.each<[string, { insert: unknown; attributes?: object }[], string, unknown[]]>([
  ["behind an embed", [{ insert: IMAGE }, { insert: "abc" }], "abXc", [IMAGE, "abXc"]],
  [
    "behind one in the middle",
    [{ insert: "ab" }, { insert: IMAGE }, { insert: "cdef" }],
    "abcdXef",
    ["ab", IMAGE, "cdXef"],
  ],
  ["before one at the end", [{ insert: "abc" }, { insert: IMAGE }], "abcd", ["abcd", IMAGE]],
  [
    "right behind one, deleting",
    [{ insert: "ab" }, { insert: IMAGE }, { insert: "cdef" }],
    "abef",
    ["ab", IMAGE, "ef"],
  ],
  [
    "right before one, deleting",
    [{ insert: "ab" }, { insert: IMAGE }, { insert: "cd" }],
    "acd",
    ["a", IMAGE, "cd"],
  ],
  ["around one, which goes with it", [{ insert: "ab" }, { insert: IMAGE }, { insert: "cd" }], "aXd", ["aXd"]],
  ["of an embed alone", [{ insert: IMAGE }], "a", [IMAGE, "a"]],
  [
    "with formats",
    [{ insert: "hello ", attributes: { bold: true } }, { insert: "world" }],
    "hello big world",
    ["hello big ", "world"],
  ],
])("an edit %s changes only what differs", (_name, delta, wanted, left) => {
  const text = new Y.Doc().getText("0");
  text.applyDelta(delta);
  rewrite([text], wanted);
  expect(String(text)).toBe(wanted);
  expect(text.toDelta().map(({ insert }: { insert: unknown }) => insert)).toEqual(left);
});

test("texts with embeds anywhere become any other, and lose no embed outside of the change", () => {
  const random = seeded(23);
  for (let count = 0; count < 1_000; count += 1) {
    const parts = texts(new Y.Doc(), ...Array.from({ length: 1 + random(3) }, () => phrase(random)));
    for (const part of parts)
      for (let embeds = random(3); embeds > 0; embeds -= 1) {
        const places = [...String(part)].map((_each, index, all) => all.slice(0, index).join("").length);
        part.insertEmbed(places[random(Math.max(places.length, 1))] ?? 0, { n: embeds });
      }
    const wanted = phrase(random);
    rewrite(parts, wanted);
    expect(parts.join("")).toBe(wanted);
  }
});
