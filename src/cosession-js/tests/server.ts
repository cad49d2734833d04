/** A WebSocket server for the tests: y-websocket's protocol and frames 102 to 104, in memory, with faults on request. */

import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { type VerifyClientCallbackAsync, type WebSocket, WebSocketServer } from "ws";
import * as awarenessProtocol from "y-protocols/awareness";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";

const SYNC = 0;
const AWARENESS = 1;
const FENCE = 102;
const NOTICE = 103;
const GRANT = 104;

export class TestServer {
  doc = new Y.Doc();
  readonly awareness = new awarenessProtocol.Awareness(this.doc);
  /** The query of each connection, in order. */
  readonly queries: URLSearchParams[] = [];
  /** The path of each connection, in order. */
  readonly paths: string[] = [];
  /** The frame kinds of each connection, as they came in. */
  readonly received: number[][] = [];
  /** The sync steps and fences of all connections, in order: 0 vector, 1 what was missing, 2 update, 102 fence. */
  readonly steps: number[] = [];
  /** Fences are kept back while this is true; `release` answers them. */
  holding = false;
  /** Takes connections, and answers none of their handshakes: a server that hangs, or a path that swallows packets. */
  mute = false;
  /** The connections whose handshake isn't answered. */
  readonly unanswered: Socket[] = [];
  refusal: { code: number; close: string; notice?: { code: string; reason: string } } | null = null;
  /** Refuses an update after which this holds of the document, as admission does. */
  forbidden: ((doc: Y.Doc) => boolean) | null = null;
  /** The grant that each connection is told; `expires_at` is counted from now. */
  grant: { id: string; name: string; kind: string; capabilities: string[]; life: number | null } | null =
    null;
  /** What the grant tells as limits; without, it tells none. */
  limits: Record<string, number> | null = null;
  /** The largest frame that came. */
  largest = 0;
  /** The tokens that came on open sockets; one that is `bad` closes with 4401. */
  readonly renewals: string[] = [];
  readonly #held: (() => void)[] = [];
  #listener!: Server;
  #server!: WebSocketServer;
  #port = 0;

  private constructor() {
    this.awareness.setLocalState(null);
  }

  static async start(): Promise<TestServer> {
    const made = new TestServer();
    await made.restart();
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get connections(): number {
    return this.#server.clients.size;
  }

  release(): void {
    this.holding = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  /** Ends every connection, with a close code or as a network failure. */
  drop(code?: number, reason = ""): void {
    for (const socket of this.#server.clients) {
      if (code === undefined) socket.terminate();
      else socket.close(code, reason);
    }
  }

  /** Sends a notice to every connection. */
  notify(notice: Record<string, unknown>): void {
    this.sendAll(frame(NOTICE, (encoder) => encoding.writeVarString(encoder, JSON.stringify(notice))));
  }

  /** Sends a frame, whatever it holds, to every connection. */
  sendAll(data: Uint8Array): void {
    for (const socket of this.#server.clients) socket.send(data);
  }

  /** Sends an update, whatever it holds, to every connection, and doesn't take it itself. */
  tell(update: Uint8Array): void {
    this.sendAll(frame(SYNC, (encoder) => sync.writeUpdate(encoder, update)));
  }

  async stop(): Promise<void> {
    this.drop();
    this.#server.close();
    for (const socket of this.unanswered) socket.destroy();
    await new Promise((resolve) => {
      this.#listener.close(resolve);
      this.#listener.closeAllConnections();
    });
  }

  /** Listens again on the same port, with the same document. */
  async restart(): Promise<void> {
    this.#listener = await listen(this.#port);
    this.#port = (this.#listener.address() as AddressInfo).port;
    const verifyClient: VerifyClientCallbackAsync = ({ req }, answer) => {
      if (this.mute) this.unanswered.push(req.socket);
      else answer(true);
    };
    this.#server = new WebSocketServer({ server: this.#listener, verifyClient });
    this.#adopt(this.#server);
  }

  /** Ends as a crash does that takes what came after a state, and listens again with the document of then. */
  async crash(kept: Uint8Array): Promise<void> {
    await this.stop();
    this.doc.destroy();
    this.doc = new Y.Doc();
    Y.applyUpdate(this.doc, kept);
    await this.restart();
  }

  async end(): Promise<void> {
    await this.stop();
    this.awareness.destroy();
    this.doc.destroy();
  }

  #adopt(server: WebSocketServer): void {
    server.on("connection", (socket, request) => {
      const url = new URL(request.url ?? "/", this.url);
      this.queries.push(url.searchParams);
      this.paths.push(url.pathname);
      this.#serve(socket);
    });
  }

  #serve(socket: WebSocket): void {
    const kinds: number[] = [];
    this.received.push(kinds);
    if (this.refusal) {
      const { code, close, notice } = this.refusal;
      if (notice)
        socket.send(frame(NOTICE, (encoder) => encoding.writeVarString(encoder, JSON.stringify(notice))));
      socket.close(code, close);
      return;
    }
    const onUpdate = (update: Uint8Array, origin: unknown): void => {
      if (origin !== socket) socket.send(frame(SYNC, (encoder) => sync.writeUpdate(encoder, update)));
    };
    const clients = new Set<number>();
    const onPresence = (
      { added, updated, removed }: Record<"added" | "updated" | "removed", number[]>,
      origin: unknown,
    ): void => {
      if (origin === socket) for (const client of added) clients.add(client);
      else socket.send(this.#presence([...added, ...updated, ...removed]));
    };
    this.doc.on("update", onUpdate);
    this.awareness.on("update", onPresence);
    socket.on("close", () => {
      this.doc.off("update", onUpdate);
      this.awareness.off("update", onPresence);
      awarenessProtocol.removeAwarenessStates(this.awareness, [...clients], "left");
    });
    socket.on("message", (data: Buffer) => this.#receive(socket, new Uint8Array(data), kinds));
    this.#tellGrant(socket);
    socket.send(frame(SYNC, (encoder) => sync.writeSyncStep1(encoder, this.doc)));
    socket.send(this.#presence([...this.awareness.getStates().keys()]));
  }

  #receive(socket: WebSocket, data: Uint8Array, kinds: number[]): void {
    const decoder = decoding.createDecoder(data);
    const kind = decoding.readVarUint(decoder);
    kinds.push(kind);
    this.largest = Math.max(this.largest, data.length);
    if (this.limits?.frame_bytes !== undefined && data.length > this.limits.frame_bytes) {
      socket.close(4413, "The frame is too large.");
      return;
    }
    if (kind === SYNC || kind === FENCE) this.steps.push(kind === SYNC ? (data[1] as number) : FENCE);
    if (kind === GRANT) {
      const token = decoding.readVarString(decoder);
      this.renewals.push(token);
      if (token === "bad") socket.close(4401, "The token has expired.");
      else this.#tellGrant(socket);
    } else if (kind === SYNC && this.#isForbidden(data)) {
      const notice = { code: "auth.forbidden", reason: "You may not write this.", touched: "messages/*" };
      socket.send(frame(NOTICE, (encoder) => encoding.writeVarString(encoder, JSON.stringify(notice))));
      socket.close(4403, notice.reason);
      socket.removeAllListeners("message");
    } else if (kind === SYNC) {
      const answer = frame(SYNC, (encoder) => sync.readSyncMessage(decoder, encoder, this.doc, socket));
      if (answer.length > 1) socket.send(answer);
    } else if (kind === AWARENESS) {
      awarenessProtocol.applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), socket);
    } else if (kind === FENCE) {
      const answer = (): void => socket.send(data);
      if (this.holding) this.#held.push(answer);
      else answer();
    }
  }

  #isForbidden(data: Uint8Array): boolean {
    if (this.forbidden === null || data[1] === 0) return false;
    const decoder = decoding.createDecoder(data.subarray(2));
    const shadow = new Y.Doc();
    Y.applyUpdate(shadow, Y.encodeStateAsUpdate(this.doc));
    Y.applyUpdate(shadow, decoding.readVarUint8Array(decoder));
    return this.forbidden(shadow);
  }

  #tellGrant(socket: WebSocket): void {
    if (this.grant === null) return;
    const { life, ...grant } = this.grant;
    const expires_at = life === null ? null : Date.now() / 1000 + life;
    const json = JSON.stringify({
      ...grant,
      expires_at,
      ...(this.limits === null ? {} : { limits: this.limits }),
    });
    socket.send(frame(GRANT, (encoder) => encoding.writeVarString(encoder, json)));
  }

  #presence(clients: number[]): Uint8Array {
    const update = awarenessProtocol.encodeAwarenessUpdate(this.awareness, clients);
    return frame(AWARENESS, (encoder) => encoding.writeVarUint8Array(encoder, update));
  }
}

function frame(kind: number, write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  write(encoder);
  return encoding.toUint8Array(encoder);
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("listening", () => resolve(server));
    server.once("error", reject);
    server.listen(port, "127.0.0.1");
  });
}
