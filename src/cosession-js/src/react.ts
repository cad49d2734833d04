/**
 * The session of a page, and hooks over it. Each hook renders again only when its result has changed.
 *
 * The provider opens the session in an effect, and never while rendering: on a server, and before the effect, its
 * fallback is shown. Inside of the provider `useSession` always returns the session.
 */

import {
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { Approval } from "./approvals.ts";
import type { Claim, Holding } from "./claims.ts";
import { connect } from "./connect.ts";
import type { Token } from "./credential.ts";
import { type Disconnected, report } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Message } from "./messages.ts";
import type { Copy } from "./offline.ts";
import type { ConnectOptions, Me, SessionEvents, Status } from "./options.ts";
import type { Person } from "./people.ts";
import type { Policy } from "./policy.ts";
import type { Presence, PresenceGroup } from "./presence.ts";
import type { QueuedPrompt } from "./queue.ts";
import type { Refusal } from "./refusal.ts";
import type { AnyMetadata, AnyPresence, AnyState, ValueAt } from "./register.ts";
import type { Agent, Run } from "./runs.ts";
import type { Session } from "./session.ts";
import type { SharedText } from "./text.ts";
import type { Tool } from "./tools.ts";

const SessionContext = createContext<Session | null>(null);

/** The arguments of `connect`, as properties. */
export interface SessionProviderProps extends ConnectOptions {
  url: string;
  session: string;
  children?: ReactNode;
  /** Shown until the session is opened: on a server, and in the first render of a page. */
  fallback?: ReactNode;
}

/**
 * Joins a session while it is mounted; joins another when a property changes (options by their content). A token function
 * may change at each render: the last one is called.
 */
export function SessionProvider({
  url,
  session: id,
  children,
  fallback = null,
  token,
  ...options
}: SessionProviderProps): ReactNode {
  const session = useOpened(url, id, token, options);
  return session === null ? fallback : createElement(SessionContext.Provider, { value: session }, children);
}

/** Returns the session of the nearest provider; throws outside of one. */
export function useSession<State = AnyState, Fields = AnyPresence, Metadata = AnyMetadata>(): Session<
  State,
  Fields,
  Metadata
> {
  const session = useContext(SessionContext);
  if (session === null)
    throw new Error("There is no session here; put the component into a <SessionProvider>.");
  return session as unknown as Session<State, Fields, Metadata>;
}

export function useMessages(): readonly Message[] {
  return useRead("messages", (session) => session.messages.all);
}

/** The runs, oldest first: all, or those that have not ended. */
export function useRuns(which: "all" | "active" = "all"): readonly Run[] {
  return useRead("runs", (session) => session.runs[which]);
}

export function useAgents(): readonly Agent[] {
  return useRead("agents", (session) => session.agents.all);
}

/** The approvals, oldest first: all, or those that are not decided. */
export function useApprovals(which: "all" | "open" = "all"): readonly Approval[] {
  return useRead("approvals", (session) => session.approvals[which]);
}

/** The waiting prompts, the next one first. */
export function useQueue(): readonly QueuedPrompt[] {
  return useRead("queue", (session) => session.queue.all);
}

/** The people of the session: all, those that are connected, or those that may be looking. */
export function usePeople(which: "all" | "online" | "looking" = "all"): readonly Person[] {
  return useRead("people", (session) => session.people[which]);
}

/** The other connections. */
export function useOthers(): readonly Presence[] {
  return useRead("presence", (session) => session.presence.others);
}

/** The presence fields of this page, and how to change some: null removes one. */
export function useMyPresence(): readonly [
  Readonly<Partial<AnyPresence>>,
  (fields: Parameters<PresenceGroup["set"]>[0]) => void,
] {
  const session = useSession();
  const mine = useRead("presence", (each) => each.presence.mine);
  const set = useCallback(
    (fields: Parameters<PresenceGroup["set"]>[0]): void => session.presence.set(fields),
    [session],
  );
  return [mine, set];
}

/** The shared state at a path, and how to change it: `const [hotel, setHotel] = useSharedState("trip.hotel")`. */
export function useSharedState<P extends string>(
  path: P,
): readonly [ValueAt<AnyState, P> | undefined, (value: ValueAt<AnyState, P>) => void];
export function useSharedState<Value extends Json = Json>(
  path: readonly (string | number)[],
): readonly [Value | undefined, (value: Value) => void];
export function useSharedState(
  path: string | readonly (string | number)[],
): readonly [unknown, (value: Json) => void] {
  const session = useSession();
  const key = JSON.stringify(path);
  const value = useRead<unknown>("state", ({ state }) => state.get(path as readonly string[]));
  const set = useCallback(
    (next: Json): void => session.state.set(JSON.parse(key) as readonly string[], next),
    [session, key],
  );
  return [value, set];
}

export interface Connection {
  readonly status: Status;
  readonly saved: boolean;
  readonly synced: boolean;
  /** Whether this browser keeps a copy. */
  readonly copy: Copy;
  /** The reason why the session is closed. */
  readonly error: Disconnected | null;
}

/** The state of the connection, and whether everything written here is saved. */
export function useConnection(): Connection {
  const status = useRead("status", (session) => session.status);
  const saved = useRead("saved", (session) => session.saved);
  const synced = useRead("synced", (session) => session.synced);
  const copy = useRead("copy", (session) => session.copy);
  const error = useRead("status", (session) => session.error);
  return useMemo(() => ({ status, saved, synced, copy, error }), [status, saved, synced, copy, error]);
}

/** The last refusal of a write of this page, with the lost texts; null when there was none. */
export function useRefusal(): Refusal | null {
  const session = useSession();
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  useEffect(() => session.on("refused", setRefusal), [session]);
  return refusal;
}

/** This page's person; rendering again lets `session.may(…)` decide which actions to offer. */
export function useMe(): Me {
  return useRead("me", (session) => session.me);
}

export function useTitle(): string {
  return useRead("title", (session) => session.title);
}

/** The session's agents, and the handling of a prompt that arrives while an agent works. */
export function usePolicy(): Policy {
  return useRead("policy", (session) => session.policy);
}

/** The events that have a current value. */
type Watched = Exclude<keyof SessionEvents, "refused" | "edit" | "change" | "selections">;

/** The current value of an event, or what `select` returns of it; a new object of `select` renders only with a new value. */
export function useWatch<Event extends Watched, Value = SessionEvents[Event]>(
  event: Event,
  select?: (value: SessionEvents[Event]) => Value,
): Value {
  const session = useSession();
  const read = useMemo(() => {
    let last: { readonly from: SessionEvents[Event]; readonly value: Value } | null = null;
    return (): Value => {
      const from = currentOf(session, event);
      if (last === null || last.from !== from)
        last = { from, value: select === undefined ? (from as unknown as Value) : select(from) };
      return last.value;
    };
  }, [session, event, select]);
  return useRead(event, read);
}

/** The holder of a claim, and how this page takes it; it is released when the component unmounts. */
export function useClaim(
  key: string,
  { seconds }: { seconds?: number } = {},
): { holder: Holding | null; mine: boolean; take(): Promise<Claim>; release(): void } {
  const session = useSession();
  const holder = useRead("claims", (each) => each.claims.get(key) ?? null);
  const here = useMemo(() => ({ session, key, claim: null as Claim | null, isGone: false }), [session, key]);
  useEffect(() => {
    here.isGone = false;
    return () => {
      here.isGone = true;
      here.claim?.release();
    };
  }, [here]);
  const take = useCallback(async (): Promise<Claim> => {
    const claim = await here.session.claim(here.key, seconds === undefined ? {} : { seconds });
    here.claim = claim;
    if (here.isGone) claim.release();
    return claim;
  }, [here, seconds]);
  const release = useCallback((): void => here.claim?.release(), [here]);
  return useMemo(() => ({ holder, mine: holder?.mine ?? false, take, release }), [holder, take, release]);
}

/**
 * Offers agents a tool that runs in this page, while the component is mounted; `call` may change at each render. A tool
 * that can't be offered is reported as an uncaught error: the page continues without it.
 */
// biome-ignore lint/suspicious/noExplicitAny: the agent's input, as the schema describes it
export function useTool<Input = any>(name: string, tool: Tool<Input>): void {
  const session = useSession();
  const given = useRef(tool);
  given.current = tool;
  const { description } = tool;
  const schema = textOf(tool.schema);
  useEffect(() => {
    const call = (input: Input): unknown => given.current.call(input);
    try {
      // A schema that is no JSON is passed on as it is: the session's error names the fault.
      const told = schema === undefined ? given.current.schema : JSON.parse(schema);
      return session.tools.offer(name, { description, schema: told, call });
    } catch (error) {
      report(error);
      return undefined;
    }
  }, [session, name, description, schema]);
}

/** The value of a counter, and how to add to it. */
export function useCounter(name: string): readonly [number, (amount?: number) => void] {
  const session = useSession();
  const value = useRead("counters", (each) => each.counters.get(name));
  const add = useCallback((amount = 1): void => session.counters.add(name, amount), [session, name]);
  return [value, add];
}

/** The selections of a participant, by name; by default those of this page's participant. */
export function useSelections(participant?: string): Readonly<Record<string, Json>> {
  return useRead("selections", ({ selections }) =>
    participant === undefined ? selections.mine : selections.of(participant),
  );
}

/** The content of a shared text, and the text itself. */
export function useText(name: string): readonly [string, SharedText] {
  const session = useSession();
  const text = useMemo(() => session.text(name), [session, name]);
  const subscribe = useCallback(
    (changed: () => void) => {
      let { y } = text;
      y.observe(changed);
      const off = session.on("doc", () => {
        y.unobserve(changed);
        y = text.y;
        y.observe(changed);
        changed();
      });
      return () => {
        off();
        y.unobserve(changed);
      };
    },
    [session, text],
  );
  const get = (): string => text.toString();
  return [useSyncExternalStore(subscribe, get, get), text];
}

interface Opened {
  readonly key: string;
  readonly session: Session;
  /** The timer that closes it after its component has gone. */
  closing: ReturnType<typeof setTimeout> | undefined;
}

/** Opens a session in an effect; null before. */
function useOpened(
  url: string,
  id: string,
  token: Token | undefined,
  options: Omit<ConnectOptions, "token">,
): Session | null {
  const [opened, setOpened] = useState<Opened | null>(null);
  const last = useRef<Opened | null>(null);
  const giveToken = useRef(token);
  giveToken.current = token;
  const key = JSON.stringify([url, id, options, typeof token === "function" ? null : (token ?? "")]);
  useEffect(() => {
    const known = last.current?.key === key ? last.current : null;
    clearTimeout(known?.closing);
    const here = known ?? open(key, giveToken);
    last.current = here;
    setOpened(here);
    // StrictMode runs an effect twice; the second run takes the session of the first.
    return () => {
      here.closing = setTimeout(() => {
        if (last.current === here) last.current = null;
        here.session.close();
      });
    };
  }, [key]);
  return opened?.key === key ? opened.session : null;
}

function open(key: string, giveToken: { readonly current: Token | undefined }): Opened {
  const [url, id, options, fixed] = JSON.parse(key) as [string, string, ConnectOptions, string | null];
  const token = async (): Promise<string> => {
    const given = giveToken.current;
    return typeof given === "function" ? given() : (given ?? "");
  };
  const credential = fixed === null ? { token } : fixed === "" ? {} : { token: fixed };
  return { key, session: connect(url, id, { ...options, ...credential }), closing: undefined };
}

function currentOf<Event extends Watched>(session: Session, event: Event): SessionEvents[Event] {
  const held: unknown = session[event];
  const isGroup = typeof held === "object" && held !== null && "all" in held;
  if (event === "state") return session.state.value as SessionEvents[Event];
  return (isGroup ? held.all : held) as SessionEvents[Event];
}

/** Returns a schema as a text, to compare it with the one before; undefined when there is none, or it is no JSON. */
function textOf(schema: unknown): string | undefined {
  try {
    return schema === undefined ? undefined : JSON.stringify(schema);
  } catch {
    return undefined;
  }
}

function useRead<Value>(event: keyof SessionEvents, read: (session: Session) => Value): Value {
  const session = useSession();
  const subscribe = useCallback((changed: () => void) => session.on(event, changed), [session, event]);
  const get = (): Value => read(session);
  return useSyncExternalStore(subscribe, get, get);
}
