// @vitest-environment happy-dom
/** The hooks, rendered: they show what the session has, and render no more than they have to. */

import { StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { InvalidValue, type Json, type Session } from "../src/index.ts";
import {
  useApprovals,
  useClaim,
  useCounter,
  useMessages,
  usePeople,
  usePolicy,
  usePresence,
  useQueue,
  useRefusal,
  useRuns,
  useSession,
  useShared,
  useStatus,
  useTool,
} from "../src/react.ts";
import { TestServer } from "./server.ts";
import { eventually, open } from "./sessions.ts";

let server: TestServer;
let root: Root;
let page: HTMLElement;

beforeEach(async () => {
  vi.stubGlobal("WebSocket", WebSocket); // happy-dom's own asks the page's origin for permission
  server = await TestServer.start();
  page = document.createElement("main");
  root = createRoot(page);
});

afterEach(async () => {
  root.unmount();
  await server.end();
  vi.unstubAllGlobals();
});

function Chat({ onSession }: { onSession?: (session: Session | null) => void }) {
  const session = useSession(server.url, "trip", { participant: "ana", name: "Ana" });
  const { status, saved } = useStatus(session);
  const messages = useMessages(session);
  const others = usePresence(session).filter(({ user }) => user.id !== "ana");
  const [city] = useShared<string>(session, "trip.city");
  onSession?.(session);
  return (
    <p>
      {`${status}, ${saved ? "saved" : "unsaved"}, ${messages.map(({ text }) => text).join("+")}, ${city}, `}
      {others.map(({ user }) => user.name).join()}
    </p>
  );
}

function shows(text: string): Promise<void> {
  return eventually(() => expect(page.textContent).toBe(text));
}

test("a page shows the session live, also under StrictMode", async () => {
  root.render(
    <StrictMode>
      <Chat />
    </StrictMode>,
  );
  await shows("online, saved, , undefined, ");

  const ben = open(server.url, "trip", { participant: "ben", name: "Ben" });
  ben.send("Lisbon?");
  ben.state.set("trip.city", "Lisbon");
  await shows("online, saved, Lisbon?, Lisbon, Ben");
});

test("leaving the page closes the connection", async () => {
  root.render(<Chat />);
  await shows("online, saved, , undefined, ");
  root.render(<p>bye</p>);

  await shows("bye");
  await eventually(() => expect(server.connections).toBe(0));
});

test("the same options in a new object keep the session", async () => {
  const sessions = new Set<Session | null>();
  const renders: number[] = [];
  const onSession = (session: Session | null): void => {
    sessions.add(session);
    renders.push(sessions.size);
  };
  root.render(<Chat onSession={onSession} />);
  await shows("online, saved, , undefined, ");
  const before = renders.length;
  root.render(<Chat onSession={onSession} />);
  await eventually(() => expect(renders.length).toBeGreaterThan(before));

  expect(sessions.size).toBe(2); // null, and the one
});

interface Counting {
  session: Session;
  rendered: (what: "messages" | "runs" | "shared") => void;
}

function Messages({ session, rendered }: Counting) {
  rendered("messages");
  return <i>{useMessages(session).length}</i>;
}

function Runs({ session, rendered }: Counting) {
  rendered("runs");
  return <i>{useRuns(session).length}</i>;
}

function Shared({ session, rendered }: Counting) {
  const [value, set] = useShared<{ deep: number }>(session, "a");
  rendered("shared");
  return (
    <button type="button" onClick={() => set({ deep: 2 })}>
      {value?.deep}
    </button>
  );
}

test("a hook renders again only for what it reads", async () => {
  const session = open(server.url, "trip", { participant: "ana" });
  session.state.set("a", { deep: 1 });
  const renders = { messages: 0, runs: 0, shared: 0 };
  const rendered: Counting["rendered"] = (what) => {
    renders[what] += 1;
  };
  const props = { session, rendered };
  root.render([
    <Messages key="messages" {...props} />,
    <Runs key="runs" {...props} />,
    <Shared key="shared" {...props} />,
  ]);
  await shows("001");

  session.send("hello");
  session.state.set("b", 1);
  await shows("101");
  expect(renders).toEqual({ messages: 2, runs: 1, shared: 1 });

  page.querySelector("button")?.click();
  await shows("102");
  expect(renders).toEqual({ messages: 2, runs: 1, shared: 2 });
});

function Lossy({ session }: { session: Session }) {
  const loss = useRefusal(session);
  const messages = useMessages(session).map(({ text }) => text);
  return (
    <p>{`${messages.join("+")}, lost: ${loss?.lost.join("+") ?? "nothing"}, ${usePeople(session).length}`}</p>
  );
}

test("hooks go on after a refusal, and tell what is lost", async () => {
  server.forbidden = (doc) => JSON.stringify(doc.getArray("messages").toJSON()).includes("forbidden");
  const [ana, ben] = ["ana", "ben"].map((id) => open(server.url, "trip", { participant: id }));
  if (!ana || !ben) return;
  root.render(<Lossy session={ana} />);
  ana.send("one");
  await shows("one, lost: nothing, 2");
  await ana.waitSaved();
  ana.send("forbidden");
  await shows("one, lost: forbidden, 2");
  ben.send("two");
  await shows("one+two, lost: forbidden, 2");
});

function Desk({ session }: { session: Session }) {
  const [holder, claim] = useClaim(session, "door");
  useTool(session, "selected", { call: () => 3 });
  const queue = useQueue(session).map(({ text }) => text);
  const { double_texting } = usePolicy(session) ?? {};
  const shown = [
    holder?.by,
    useApprovals(session).length,
    queue,
    useCounter(session, "likes"),
    double_texting,
  ];
  return (
    <button type="button" onClick={() => claim()}>
      {shown.join()}
    </button>
  );
}

test("what agents and people share is shown, and let go when the page goes", async () => {
  const session = open(server.url, "trip", { participant: "ana" });
  await session.waitSynced();
  const requests = server.doc.getMap("requests");
  const key = `door/${session.doc.clientID}/ana`;
  root.render(
    <StrictMode>
      <Desk session={session} />
    </StrictMode>,
  );
  await shows(",0,,0,queue");
  session.queue.add("next");
  session.counters.add("likes", 2);
  server.doc.getMap("meta").set("policy", { agents: [], double_texting: "steer" });
  await shows(",0,next,2,steer");

  expect(session.presence.all[0]?.tools).toMatchObject([{ name: "selected" }]);
  page.querySelector("button")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  await eventually(() => expect(requests.has(`claim/${key}`)).toBe(true));
  server.doc.transact(() => {
    server.doc.getMap("claims").set("door", { by: "ana", client: session.doc.clientID, epoch: 1 });
    requests.delete(`claim/${key}`);
  });
  await shows("ana,0,next,2,steer");
  await session.waitSaved();
  root.render(null);
  await eventually(() => expect(requests.has(`release/${key}`)).toBe(true));
  expect(session.presence.all[0]?.tools).toBeUndefined();
});

test.each([
  ["larger than presence", { description: "x".repeat(80_000) }],
  ["no JSON", { minimum: 5n }],
])("a tool whose schema is %s is reported, and the page goes on", async (_name, schema) => {
  const uncaught = vi.fn();
  const plan = globalThis.queueMicrotask;
  vi.stubGlobal("queueMicrotask", (task: () => void) =>
    plan(() => {
      try {
        task();
      } catch (error) {
        uncaught(error);
      }
    }),
  );
  function Page() {
    const session = useSession(server.url, "trip", { participant: "ana" });
    useTool(session, "look", { schema: schema as unknown as Json, call: () => 1 });
    return <p>{useStatus(session).status}</p>;
  }
  root.render(<Page />);
  await shows("online");
  expect(uncaught).toHaveBeenCalledWith(expect.any(InvalidValue));
});

test("what isn't JSON is refused by the setter of shared state, and nothing is written", async () => {
  const ana = open(server.url, "trip", { participant: "ana" });
  let set: (value: Json) => void = () => {};
  function Page() {
    const [value, setValue] = useShared(ana, "a.b");
    set = setValue;
    return <p>{`${value}`}</p>;
  }
  root.render(<Page />);
  await shows("undefined");
  expect(() => set(Number.NaN)).toThrow(InvalidValue);
  expect(ana.doc.getMap("state").size).toBe(0);
});
