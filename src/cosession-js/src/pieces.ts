/**
 * Updates in pieces: the changes that a reader of a document lacks, as Yjs updates that each fit into a frame.
 *
 * A piece depends only on those before it: structs of several clients come in the order of their references. A record
 * (an entry of a root, with all that is in it) stays whole if it fits, because the server judges a message when it is
 * created. A larger record is cut between two structs, and a text or list that is larger than a frame within itself.
 * Deletions come last. All is read in one pass; only the structs after a cut are read twice.
 */

import * as encoding from "lib0/encoding";
import * as Y from "yjs";
import { CosessionError } from "./errors.ts";
import type { Limits } from "./limits.ts";

export type Clocks = ReadonlyMap<number, number>;

/** Deleted clocks by client: each range begins at a clock and has a length. */
export type Deletes = ReadonlyMap<number, readonly { readonly clock: number; readonly len: number }[]>;

export interface Piece {
  readonly update: Uint8Array;
  /** The clock of each client of this piece that the reader reaches with the piece. */
  readonly reached: Clocks;
  /** The deletions that the piece has no room for. */
  readonly left: Deletes;
  readonly isLast: boolean;
}

type Struct = Y.Item | Y.GC;

/** The size from which a piece ends at the next border: a large one delays later frames for all participants. */
const ENOUGH_BYTES = 2 ** 20;
/** The size of a frame besides structs and deletions: kinds, lengths and counts. */
const HEAD_BYTES = 64;
/** The size of the head of a client's part: its count, id and clock. */
const CLIENT_BYTES = 24;
/** The size of a deleted range: two numbers. */
const RANGE_BYTES = 10;

/**
 * Returns the next piece of the changes that a reader lacks.
 *
 * @param known - the clocks that the reader has
 * @param clients - the clients of which it may lack something
 * @param deletes - the deletions to send
 * @throws CosessionError when something can't be cut and is larger than a frame
 */
export function nextPiece(
  doc: Y.Doc,
  known: Clocks,
  clients: Iterable<number>,
  deletes: Deletes,
  limits: Pick<Limits, "frameBytes" | "structs">,
): Piece {
  const piece = new Writer(known, limits.frameBytes - HEAD_BYTES, limits.structs - 8);
  const wanted = new Set(clients);
  // Higher client ids first, as Yjs does: its readers are faster with that.
  for (const client of [...wanted].sort((one, other) => other - one)) {
    if (!addClient(piece, doc, client, wanted)) return piece.end(EMPTY, deletes, false);
  }
  const [now, left] = divide(deletes, piece.roomForRanges);
  return piece.end(now, left, left.size === 0);
}

const EMPTY: Deletes = new Map();

/** Adds the lacking structs of a client, with those that they refer to; false when the piece is full. */
function addClient(piece: Writer, doc: Y.Doc, client: number, wanted: ReadonlySet<number>): boolean {
  const ways = [{ client, until: Y.getState(doc.store, client) }];
  for (let way = ways.at(-1); way !== undefined; way = ways.at(-1)) {
    const clock = piece.reached(way.client);
    if (clock >= way.until) {
      ways.pop();
      continue;
    }
    const structs = doc.store.clients.get(way.client) as Struct[];
    const struct = structs[Y.findIndexSS(structs, clock)] as Struct;
    const missing = referencesOf(struct, clock).find(
      (id) => id.client !== struct.id.client && wanted.has(id.client) && id.clock >= piece.reached(id.client),
    );
    // No two structs refer to each other, so there are at most as many ways as clients.
    if (missing !== undefined) ways.push({ client: missing.client, until: missing.clock + 1 });
    else if (!piece.add(struct, clock)) return false;
  }
  return true;
}

/** Returns the ids that a struct from a clock on refers to. */
function referencesOf(struct: Struct, clock: number): Y.ID[] {
  if (!(struct instanceof Y.Item)) return [];
  const { origin, rightOrigin, parent } = struct;
  const parentId = parent instanceof Y.AbstractType ? (parent._item?.id ?? null) : null;
  return [clock === struct.id.clock ? origin : null, rightOrigin, parentId].filter((id) => id !== null);
}

/** Returns the entry of a root that a struct is in, or is; null for garbage-collected structs. */
function recordOf(struct: Struct): Struct | null {
  let record: Struct = struct;
  while (record instanceof Y.Item) {
    const { parent } = record;
    if (!(parent instanceof Y.AbstractType)) return null;
    if (parent._item === null) return record;
    record = parent._item;
  }
  return null;
}

/** The part of a piece with the structs of one client. */
interface Part {
  readonly client: number;
  readonly clock: number;
  readonly encoder: Y.UpdateEncoderV1;
  bytes: number;
  count: number;
  reached: number;
}

interface Step extends Readonly<Pick<Part, "bytes" | "count" | "reached">> {
  readonly part: Part;
}

class Writer {
  readonly #known: Clocks;
  readonly #mostBytes: number;
  readonly #mostCounts: number;
  readonly #parts = new Map<number, Part>();
  readonly #steps: Step[] = [];
  #bytes = 0;
  #counts = 0;
  #record: Struct | null = null;
  /** The number of steps at the last border between two records. */
  #border = 0;

  constructor(known: Clocks, mostBytes: number, mostCounts: number) {
    this.#known = known;
    this.#mostBytes = mostBytes;
    this.#mostCounts = mostCounts;
  }

  /** Returns the clock of a client that the reader reaches with this piece. */
  reached(client: number): number {
    return this.#parts.get(client)?.reached ?? this.#known.get(client) ?? 0;
  }

  get roomForRanges(): number {
    const byBytes = Math.floor((this.#mostBytes - this.#bytes) / RANGE_BYTES);
    const isEmpty = this.#steps.length === 0;
    return Math.max(Math.min(byBytes, this.#mostCounts - this.#counts), isEmpty ? 1 : 0);
  }

  /** Adds a struct from a clock on; false when the piece has no room for it, or not for all of it. */
  add(struct: Struct, clock: number): boolean {
    const record = recordOf(struct);
    if (this.#isBorder(struct, record)) {
      if (this.#bytes >= ENOUGH_BYTES) return false;
      this.#border = this.#steps.length;
    }
    this.#record = record;
    const part = this.#partOf(struct.id.client, clock);
    const counts = countsOf(struct, clock) + (part.count === 0 ? 2 : 0);
    struct.write(part.encoder, clock - struct.id.clock);
    const bytes = encoding.length(part.encoder.restEncoder);
    const grown = bytes - part.bytes + (part.count === 0 ? CLIENT_BYTES : 0);
    if (this.#bytes + grown > this.#mostBytes || this.#counts + counts > this.#mostCounts) {
      if (this.#steps.length === 0) this.#addStart(struct, clock);
      else this.#cut(this.#border > 0 ? this.#border : this.#steps.length);
      return false;
    }
    this.#note(part, bytes, grown, counts, struct.id.clock + struct.length);
    return true;
  }

  end(deletes: Deletes, left: Deletes, isLast: boolean): Piece {
    const encoder = encoding.createEncoder();
    const parts = [...this.#parts.values()].filter(({ count }) => count > 0);
    encoding.writeVarUint(encoder, parts.length);
    for (const { client, clock, count, bytes, encoder: structs } of parts) {
      encoding.writeVarUint(encoder, count);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, clock);
      encoding.writeUint8Array(encoder, structs.toUint8Array().subarray(0, bytes));
    }
    encoding.writeVarUint(encoder, deletes.size);
    for (const [client, ranges] of deletes) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, ranges.length);
      for (const { clock, len } of ranges) {
        encoding.writeVarUint(encoder, clock);
        encoding.writeVarUint(encoder, len);
      }
    }
    return {
      update: encoding.toUint8Array(encoder),
      reached: new Map(parts.map(({ client, reached }) => [client, reached])),
      left,
      isLast,
    };
  }

  /** Returns whether a piece may end before a struct: it begins a record, or continues one that the reader has. */
  #isBorder(struct: Struct, record: Struct | null): boolean {
    if (record === null || record !== this.#record || struct === record) return true;
    return record.id.clock < (this.#known.get(record.id.client) ?? 0);
  }

  #partOf(client: number, clock: number): Part {
    const known = this.#parts.get(client);
    if (known !== undefined) return known;
    const encoder = new Y.UpdateEncoderV1();
    const part: Part = { client, clock, encoder, bytes: 0, count: 0, reached: clock };
    this.#parts.set(client, part);
    return part;
  }

  #note(part: Part, bytes: number, grown: number, counts: number, reached: number): void {
    part.bytes = bytes;
    part.count += 1;
    part.reached = reached;
    this.#bytes += grown;
    this.#counts += counts;
    this.#steps.push({ part, bytes, count: part.count, reached });
  }

  /** Undoes all but the first steps. */
  #cut(steps: number): void {
    for (const part of this.#parts.values()) Object.assign(part, { bytes: 0, count: 0, reached: part.clock });
    for (const { part, bytes, count, reached } of this.#steps.slice(0, steps))
      Object.assign(part, { bytes, count, reached });
  }

  /** Adds as much of a struct as fits into an empty piece. */
  #addStart(struct: Struct, clock: number): void {
    const length = startOf(struct, clock, this.#mostBytes - CLIENT_BYTES - HEAD_BYTES, this.#mostCounts - 1);
    if (length === 0 || !(struct instanceof Y.Item)) throw tooLarge(this.#mostBytes);
    const content = struct.content.copy();
    const offset = clock - struct.id.clock;
    content.splice(offset + length);
    const { id, origin, rightOrigin, parent, parentSub } = struct;
    const start = new Y.Item(id, null, origin, null, rightOrigin, parent, parentSub, content);
    this.#parts.clear();
    const part = this.#partOf(id.client, clock);
    start.write(part.encoder, offset);
    const bytes = encoding.length(part.encoder.restEncoder);
    if (bytes > this.#mostBytes) throw tooLarge(this.#mostBytes);
    this.#note(part, bytes, bytes, 0, clock + length);
  }
}

/** Returns how many clocks of a struct, from one on, fit; 0 when it can't be cut there. */
function startOf(struct: Struct, clock: number, mostBytes: number, mostCounts: number): number {
  if (!(struct instanceof Y.Item)) return 0;
  const { content } = struct;
  const from = clock - struct.id.clock;
  const room = mostBytes - 64 - 3 * (struct.parentSub?.length ?? 0);
  if (content instanceof Y.ContentString) {
    const units = Math.min(Math.floor(room / 3), content.str.length - from - 1); // at most three bytes each
    const last = content.str.charCodeAt(from + units - 1);
    return units - (last >= 0xd800 && last <= 0xdbff ? 1 : 0); // never between the halves of a pair
  }
  if (!(content instanceof Y.ContentAny)) return 0;
  let [bytes, counts, length] = [0, 0, 0];
  for (const value of content.arr.slice(from)) {
    const encoder = encoding.createEncoder();
    encoding.writeAny(encoder, value);
    bytes += encoding.length(encoder);
    counts += countsOfValue(value);
    if (bytes > room || counts > mostCounts) break;
    length += 1;
  }
  return Math.min(length, content.arr.length - from - 1);
}

/** Returns the count of a struct at the server: one for itself, and one for each value in it. */
function countsOf(struct: Struct, clock: number): number {
  if (!(struct instanceof Y.Item) || !(struct.content instanceof Y.ContentAny)) return 1;
  const from = clock - struct.id.clock;
  return struct.content.arr.slice(from).reduce<number>((sum, value) => sum + countsOfValue(value), 1);
}

function countsOfValue(value: unknown): number {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return 1;
  return Object.values(value).reduce<number>((sum, each) => sum + countsOfValue(each), 1);
}

/** Splits deletions into the first ranges and the others. */
function divide(deletes: Deletes, most: number): [Deletes, Deletes] {
  const now = new Map<number, { clock: number; len: number }[]>();
  const left = new Map<number, { clock: number; len: number }[]>();
  let room = most;
  for (const [client, ranges] of deletes) {
    room -= 3; // the client itself
    const count = Math.max(Math.min(room, ranges.length), now.size === 0 && most > 0 ? 1 : 0);
    if (count > 0) now.set(client, ranges.slice(0, count));
    if (count < ranges.length) left.set(client, ranges.slice(Math.max(count, 0)));
    room -= Math.max(count, 0);
  }
  return [now, left];
}

function tooLarge(limit: number): CosessionError {
  return new CosessionError(
    "frame.too_large",
    `A single value in the document is larger than the ${limit} bytes that the server takes at once, so it can't be ` +
      "sent; store what is large elsewhere and write its address.",
  );
}
