/**
 * React hooks over a session. Each renders again only when its result has changed.
 *
 * `useSession` returns null for the first render, since a socket is opened by an effect and never by rendering; the
 * other hooks accept that null and return the values of an empty session.
 */

import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Approval } from "./approvals.ts";
import type { Claim, ClaimOptions, Holding } from "./claims.ts";
import { connect } from "./connect.ts";
import { type Disconnected, report } from "./errors.ts";
import type { Me } from "./grants.ts";
import type { Json } from "./json.ts";
import type { Message } from "./messages.ts";
import type { Copy } from "./offline.ts";
import type { ConnectOptions, SessionEvents } from "./options.ts";
import type { Person } from "./people.ts";
import type { Policy } from "./policy.ts";
import type { Presence } from "./presence.ts";
import type { QueuedPrompt } from "./queue.ts";
import type { Refusal } from "./refusal.ts";
import type { Agent, Run } from "./runs.ts";
import type { Session, Status } from "./session.ts";
import type { Tool } from "./tools.ts";
import type { Path } from "./tree.ts";

export type { Session };

export interface ConnectionStatus {
  readonly status: Status;
  readonly saved: boolean;
  readonly synced: boolean;
  /** Whether this browser keeps a copy. */
  readonly copy: Copy;
  readonly error: Disconnected | null;
}

const NOTHING: readonly never[] = Object.freeze([]);

/**
 * Joins a session while the component is mounted; joins again when an argument changes (options by their content). A
 * token function may change at each render: the last one is called.
 */
export function useSession(url: string, id: string, options: ConnectOptions = {}): Session | null {
  const [session, setSession] = useState<Session | null>(null);
  const giveToken = useRef(options.token);
  giveToken.current = options.token;
  const isGiven = typeof options.token === "function";
  const key = JSON.stringify(options);
  useEffect(() => {
    const token = async (): Promise<string> => {
      const given = giveToken.current;
      return typeof given === "function" ? given() : (given ?? "");
    };
    const opened = connect(url, id, {
      ...(JSON.parse(key) as ConnectOptions),
      ...(isGiven ? { token } : {}),
    });
    setSession(opened);
    return () => {
      setSession(null);
      opened.close();
    };
  }, [url, id, key, isGiven]);
  return session;
}

export function useMessages(session: Session | null): readonly Message[] {
  return useRead(session, "messages", (each) => each.messages, NOTHING);
}

export function useRuns(session: Session | null): readonly Run[] {
  return useRead(session, "runs", (each) => each.runs, NOTHING);
}

export function useAgents(session: Session | null): readonly Agent[] {
  return useRead(session, "agents", (each) => each.agents, NOTHING);
}

/** The approvals, oldest first. */
export function useApprovals(session: Session | null): readonly Approval[] {
  return useRead(session, "approvals", (each) => each.approvals, NOTHING);
}

/** The waiting prompts, the next one first. */
export function useQueue(session: Session | null): readonly QueuedPrompt[] {
  return useRead(session, "queue", (each) => each.queue.list, NOTHING);
}

/** The session's agents, and the handling of a prompt that arrives while an agent works. */
export function usePolicy(session: Session | null): Policy | null {
  return useRead(session, "policy", (each) => each.policy, null);
}

/** The value of a counter; add with `session.counters.add`. */
export function useCounter(session: Session | null, name: string): number {
  return useRead(session, "counters", (each) => each.counters.get(name), 0);
}

/** The holder of a claim, and a function by which this page requests it; it is released when the component unmounts. */
export function useClaim(
  session: Session | null,
  key: string,
): readonly [Holding | undefined, (options?: ClaimOptions) => Promise<Claim | null>] {
  const holding = useRead(session, "claims", (each) => each.claims[key], undefined);
  const here = useMemo(() => ({ session, key, claim: null as Claim | null, isGone: false }), [session, key]);
  useEffect(() => {
    here.isGone = false;
    return () => {
      here.isGone = true;
      here.claim?.release();
    };
  }, [here]);
  const ask = useCallback(
    async (options: ClaimOptions = {}): Promise<Claim | null> => {
      here.claim = (await here.session?.claim(here.key, options)) ?? null;
      if (here.isGone) here.claim?.release();
      return here.isGone ? null : here.claim;
    },
    [here],
  );
  return [holding, ask];
}

/**
 * Offers agents a tool that runs in this page, while the component is mounted; `call` may change at each render. A tool
 * that can't be offered is reported as an uncaught error: the page continues without it.
 */
export function useTool(session: Session | null, name: string, tool: Tool): void {
  const given = useRef(tool);
  given.current = tool;
  const description = tool.description ?? "";
  const schema = textOf(tool.schema ?? null);
  useEffect(() => {
    const call = (input: Json): unknown => given.current.call(input);
    try {
      // A schema that is no JSON is passed on as it is: the session's error names the fault.
      const told = schema === null ? (given.current.schema as Json) : (JSON.parse(schema) as Json);
      return session?.offerTool(name, { description, schema: told, call });
    } catch (error) {
      report(error);
      return undefined;
    }
  }, [session, name, description, schema]);
}

/** Every connection, this page's included. */
export function usePresence(session: Session | null): readonly Presence[] {
  return useRead(session, "presence", (each) => each.presence.all, NOTHING);
}

/** All people of the session, with their presence, devices and attention. */
export function usePeople(session: Session | null): readonly Person[] {
  return useRead(session, "people", (each) => each.people, NOTHING);
}

/** The identity of this page; rendering again lets `session.may(…)` decide which actions to offer. */
export function useMe(session: Session | null): Me | null {
  return useRead(session, "me", (each) => each.me, null);
}

/** The last refusal of a write of this page, with the lost texts; null when there was none. */
export function useRefusal(session: Session | null): Refusal | null {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  useEffect(() => session?.on("refused", setRefusal), [session]);
  return refusal;
}

export function useTitle(session: Session | null): string {
  return useRead(session, "title", (each) => each.title, "");
}

/** The shared state at a path, and how to change it: `const [hotel, setHotel] = useShared(session, "trip.hotel")`. */
export function useShared<Value extends Json = Json>(
  session: Session | null,
  path: Path,
): readonly [Value | undefined, (value: Value) => void] {
  const key = JSON.stringify(path);
  const value = useRead(session, "state", (each) => each.state.get<Value>(path), undefined);
  const set = useCallback(
    (next: Value): void => {
      if (session === null)
        throw new Error("The session isn't there yet: useSession gives null for the first render.");
      session.state.set(JSON.parse(key) as Path, next);
    },
    [session, key],
  );
  return [value, set];
}

/** The state of the connection, and whether everything written here is saved. */
export function useStatus(session: Session | null): ConnectionStatus {
  const status = useRead(session, "status", (each) => each.status, "connecting");
  const saved = useRead(session, "saved", (each) => each.saved, true);
  const synced = useRead(session, "synced", (each) => each.synced, false);
  const copy = useRead(session, "copy", (each) => each.copy, "none");
  const error = useRead(session, "status", (each) => each.error, null);
  return useMemo(() => ({ status, saved, synced, copy, error }), [status, saved, synced, copy, error]);
}

/** Returns a schema as a text, to compare it with the one before; null when it is no JSON. */
function textOf(schema: Json): string | null {
  try {
    return JSON.stringify(schema);
  } catch {
    return null;
  }
}

function useRead<Value>(
  session: Session | null,
  event: keyof SessionEvents,
  read: (session: Session) => Value,
  empty: Value,
): Value {
  const subscribe = useCallback(
    (changed: () => void) => session?.on(event, changed) ?? (() => {}),
    [session, event],
  );
  const get = (): Value => (session === null ? empty : read(session));
  return useSyncExternalStore(subscribe, get, () => empty);
}
