// @vitest-environment happy-dom
/** The hooks, rendered: they show what the session has, and render no more than they have to. */

import { type ReactNode, StrictMode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { Disconnected, InvalidValue, type Json, type JsonObject, type Session } from "../src/index.ts";
import {
  SessionProvider,
  type SessionProviderProps,
  useAgents,
  useApprovals,
  useClaim,
  useConnection,
  useCounter,
  useMe,
  useMessages,
  useMyPresence,
  useOthers,
  usePeople,
  usePolicy,
  useQueue,
  useRefusal,
  useRuns,
  useSelections,
  useSession,
  useSharedState,
  useText,
  useTitle,
  useTool,
  useWatch,
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

/** The session of Ana, for the components in it. */
function Page(props: Partial<SessionProviderProps>) {
  return <SessionProvider url={server.url} session="trip" participant="ana" name="Ana" {...props} />;
}

function Chat() {
  const { status, saved } = useConnection();
  const messages = useMessages();
  const others = useOthers();
  const [city] = useSharedState("trip.city");
  return (
    <p>
      {`${status}, ${saved ? "saved" : "unsaved"}, ${messages.map(({ text }) => text).join("+")}, ${city}, `}
      {others.map(({ user }) => user.name).join()}
    </p>
  );
}

/** Gives the session to a test. */
function Take({ give }: { give: (session: Session) => void }) {
  give(useSession());
  return null;
}

/** Renders components in Ana's session, and returns that. */
async function enter(children: ReactNode): Promise<Session> {
  const { promise, resolve } = Promise.withResolvers<Session>();
  root.render(
    <Page>
      <Take give={resolve} />
      {children}
    </Page>,
  );
  const session = await promise;
  await session.waitSynced();
  return session;
}

function shows(text: string): Promise<void> {
  return eventually(() => expect(page.textContent).toBe(text));
}

test("a page shows the session live, and under StrictMode it is opened once", async () => {
  root.render(
    <StrictMode>
      <Page>
        <Chat />
      </Page>
    </StrictMode>,
  );
  await shows("online, saved, , undefined, ");

  const ben = open(server.url, "trip", { participant: "ben", name: "Ben" });
  ben.send("Lisbon?");
  ben.state.set("trip.city", "Lisbon");
  await shows("online, saved, Lisbon?, Lisbon, Ben");
  expect(server.queries.map((query) => query.get("user"))).toEqual(["ana", "ben"]);
});

test("on a server nothing is opened, and the fallback is shown", () => {
  const html = renderToString(
    <Page fallback={<i>loading</i>}>
      <Chat />
    </Page>,
  );
  expect(html).toBe("<i>loading</i>");
  expect(server.queries).toEqual([]);
});

test("a page that a server has rendered is taken over with its fallback, then joins", async () => {
  const app = (
    <Page fallback={<i>loading</i>}>
      <Chat />
    </Page>
  );
  page = document.createElement("main");
  page.innerHTML = renderToString(app);
  const errors = vi.spyOn(console, "error");
  const hydrated = hydrateRoot(page, app);
  await shows("online, saved, , undefined, ");
  expect(errors).not.toHaveBeenCalled();
  hydrated.unmount();
});

test("outside of a provider the hooks say what is missing", () => {
  expect(() => renderToString(<Chat />)).toThrow("<SessionProvider>");
});

test("leaving the page closes the connection", async () => {
  const session = await enter(<Chat />);
  root.render(<p>bye</p>);
  await shows("bye");
  await eventually(() => expect(server.connections).toBe(0));
  expect(session.status).toBe("closed");
});

test("the same properties in a new render keep the session, and another session takes its place", async () => {
  const sessions = new Set<Session>();
  let renders = 0;
  const give = (session: Session): void => {
    sessions.add(session);
    renders += 1;
  };
  const show = (id: string): void =>
    root.render(
      <Page session={id} token={() => "t"}>
        <Take give={give} />
        <Chat />
      </Page>,
    );
  show("trip");
  await shows("online, saved, , undefined, ");
  const before = renders;
  show("trip");
  await eventually(() => expect(renders).toBeGreaterThan(before));
  expect(sessions.size).toBe(1);
  show("other");
  await eventually(() =>
    expect([...sessions].map(({ id, status }) => [id, status])).toEqual([
      ["trip", "closed"],
      ["other", "online"],
    ]),
  );
});

type Counted = (what: "messages" | "runs" | "shared") => void;

function Messages({ rendered }: { rendered: Counted }) {
  rendered("messages");
  return <i>{useMessages().length}</i>;
}

function Runs({ rendered }: { rendered: Counted }) {
  rendered("runs");
  return <i>{useRuns("active").length}</i>;
}

function Shared({ rendered }: { rendered: Counted }) {
  const [value, set] = useSharedState<{ deep: number }>(["a"]);
  rendered("shared");
  return (
    <button type="button" onClick={() => set({ deep: 2 })}>
      {value?.deep ?? 1}
    </button>
  );
}

test("a hook renders again only for what it reads", async () => {
  const renders = { messages: 0, runs: 0, shared: 0 };
  const rendered: Counted = (what) => {
    renders[what] += 1;
  };
  const session = await enter([
    <Messages key="messages" rendered={rendered} />,
    <Runs key="runs" rendered={rendered} />,
    <Shared key="shared" rendered={rendered} />,
  ]);
  await shows("001");
  expect(renders).toEqual({ messages: 1, runs: 1, shared: 1 });

  session.send("hello");
  session.state.set("b", 1);
  await shows("101");
  expect(renders).toEqual({ messages: 2, runs: 1, shared: 1 });

  page.querySelector("button")?.click();
  await shows("102");
  expect(renders).toEqual({ messages: 2, runs: 1, shared: 2 });
});

function Lossy() {
  const refusal = useRefusal();
  const messages = useMessages().map(({ text }) => text);
  const lost = refusal?.lost.join("+") ?? "nothing";
  return <p>{`${messages.join("+")}, lost: ${lost}, ${usePeople("online").length}`}</p>;
}

test("hooks go on after a refusal, and tell what is lost", async () => {
  server.forbidden = (doc) => JSON.stringify(doc.getArray("messages").toJSON()).includes("forbidden");
  const ben = open(server.url, "trip", { participant: "ben" });
  const ana = await enter(<Lossy />);
  ana.send("one");
  await shows("one, lost: nothing, 2");
  await ana.waitSaved();
  ana.send("forbidden");
  await shows("one, lost: forbidden, 2");
  ben.send("two");
  await shows("one+two, lost: forbidden, 2");
});

test("a session that ends shows why", async () => {
  function State() {
    const { status, error } = useConnection();
    return <p>{`${status}: ${error?.message ?? ""}`}</p>;
  }
  await enter(<State />);
  await shows("online: ");
  server.drop(4410, "The session was deleted.");
  await shows("closed: The session was deleted.");
});

function Desk() {
  const { holder, mine, take, release } = useClaim("door");
  useTool("selected", { call: () => 3 });
  const queue = useQueue().map(({ text }) => text);
  const [likes, add] = useCounter("likes");
  const { doubleTexting } = usePolicy();
  const shown = [
    holder?.by,
    mine,
    useApprovals("open").length,
    queue,
    likes,
    doubleTexting,
    useAgents().length,
  ];
  return (
    <>
      <button type="button" onClick={() => void take()}>
        {shown.join()}
      </button>
      <button type="button" onClick={() => add(2)} onFocus={release} />
    </>
  );
}

test("what agents and people share is shown, and released when the page goes", async () => {
  const requests = server.doc.getMap("requests");
  const { promise, resolve } = Promise.withResolvers<Session>();
  root.render(
    <StrictMode>
      <Page>
        <Take give={resolve} />
        <Desk />
      </Page>
    </StrictMode>,
  );
  const session = await promise;
  await session.waitSynced();
  const key = `door/${session.doc.clientID}/ana`;
  await shows(",false,0,,0,queue,0");
  session.queue.add("next");
  page.querySelectorAll("button")[1]?.click();
  server.doc.getMap("meta").set("policy", { agents: [], double_texting: "steer" });
  await shows(",false,0,next,2,steer,0");

  expect(session.tools.all).toMatchObject([{ name: "selected", participant: "ana" }]);
  page.querySelector("button")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  await eventually(() => expect(requests.has(`claim/${key}`)).toBe(true));
  server.doc.transact(() => {
    server.doc.getMap("claims").set("door", { by: "ana", client: session.doc.clientID, epoch: 1 });
    requests.delete(`claim/${key}`);
  });
  await shows("ana,true,0,next,2,steer,0");
  await session.waitSaved();
  root.render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
  await eventually(() => expect(requests.has(`release/${key}`)).toBe(true));
  expect(session.tools.all).toEqual([]);
});

function Self() {
  const [mine, setMine] = useMyPresence();
  const me = useMe();
  const [notes, text] = useText("notes");
  const count = useWatch("messages", (messages) => ({ count: messages.length })).count;
  const shown = [me.name, mine.typing, useTitle(), useSelections().row, notes, count, useWatch("saved")];
  return (
    <button type="button" onClick={() => setMine({ typing: true })} onFocus={() => text.append("!")}>
      {shown.join()}
    </button>
  );
}

test("what a page says of itself and writes is shown", async () => {
  const session = await enter(<Self />);
  await shows("Ana,,,,,0,true");
  page.querySelector("button")?.click();
  session.setTitle("Trip");
  session.selections.set("row", 3);
  session.text("notes").append("tea");
  session.send("hello");
  await shows("Ana,true,Trip,3,tea,1,true");
  const ben = open(server.url, "trip", { participant: "ben" });
  await ben.waitSynced();
  ben.text("notes").insert(0, "green ");
  await shows("Ana,true,Trip,3,green tea,1,true");
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
  function Look() {
    useTool("look", { schema: schema as unknown as JsonObject, call: () => 1 });
    return <p>{useConnection().status}</p>;
  }
  await enter(<Look />);
  await shows("online");
  expect(uncaught).toHaveBeenCalledWith(expect.any(InvalidValue));
});

test("what isn't JSON is refused by the setter of shared state, and nothing is written", async () => {
  let set: (value: Json) => void = () => {};
  function Value() {
    const [value, setValue] = useSharedState("a.b");
    set = setValue;
    return <p>{`${value}`}</p>;
  }
  const ana = await enter(<Value />);
  await shows("undefined");
  expect(() => set(Number.NaN)).toThrow(InvalidValue);
  expect(ana.doc.getMap("state").size).toBe(0);
  ana.close();
  expect(() => set(1)).toThrow(Disconnected);
});
