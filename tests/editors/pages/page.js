// What every page shares: a stock document and provider, named by the address; and `window.page`, which the test leads.
import { IndexeddbPersistence } from "y-indexeddb";
import { WebsocketProvider as Provider3 } from "y-websocket";
import { WebsocketProvider as Provider1 } from "y-websocket-1";
import { WebsocketProvider as Provider2 } from "y-websocket-2";
import * as Y from "yjs";

const query = new URLSearchParams(location.search);

export const options = {
  /** The root that the editor is bound to; null leaves it to the editor. */
  root: query.get("root"),
  /** Whether this page fills a new document. */
  isFirst: query.has("first"),
  /** Whether the network is there. */
  isOffline: query.has("offline"),
  /** Whether the editor connects by itself, once it listens: it shows nothing that was in the document before. */
  connects: location.pathname.includes("lexical"),
};

export const user = { name: query.get("name"), color: query.get("color"), colorLight: `${query.get("color")}33` };
export const doc = new Y.Doc();

const Provider = { 1: Provider1, 2: Provider2, 3: Provider3 }[query.get("provider")];

export const provider = new Provider(query.get("server"), query.get("room"), doc, {
  params: query.has("token") ? { token: query.get("token") } : {},
  connect: false,
});

const connect = provider.connect.bind(provider);
const opened = new Promise((resolve) => {
  /** Reads the local copy, and connects where there is a network. */
  provider.connect = () => {
    resolve(query.has("database") ? new IndexeddbPersistence(query.get("database"), doc) : null);
    provider.connect = options.isOffline ? () => {} : connect;
    provider.connect();
  };
});
if (!options.connects) provider.connect();

/** Resolves when the document is what the server, or without a network the local copy, has. */
export const synced = options.isOffline
  ? opened.then((copy) => copy.whenSynced)
  : new Promise((resolve) => provider.on("sync", (isSynced) => isSynced && resolve()));

// The author of half a surrogate pair keeps it until it is encoded, as U+FFFD: what is compared is what all others read.
const ordered = (value) => {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(ordered);
  if (!value || typeof value !== "object" || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, ordered(value[key])]));
};

const content = (type) => {
  if (type instanceof Y.Text) {
    return type.toDelta().map((part) => {
      const { insert, ...rest } = part;
      return { ...ordered(rest), insert: insert instanceof Y.AbstractType ? { type: content(insert) } : ordered(insert) };
    });
  }
  if (type instanceof Y.XmlElement) {
    return { name: type.nodeName, attributes: ordered(type.getAttributes()), children: type.toArray().map(content) };
  }
  if (type instanceof Y.XmlFragment) return type.toArray().map(content);
  return ordered(type.toJSON());
};

export const page = {
  doc,
  provider,
  isReady: false,
  closes: [],
  errors: [],
  /** The shared type that the editor is bound to. */
  root: null,
  /** Where one types; where others' carets are. */
  input: "",
  caret: "",
  /** The document, as Yjs tells it. */
  document: () => JSON.stringify(content(page.root)),
  /** The document, as the editor shows it. */
  shown: () => "",
  focusEnd: () => {},
  /** Puts in what the editor has beside plain text: tables, images, mentions, formats. */
  decorate: null,
  undo: null,
  redo: null,
};
window.page = page;

provider.on("connection-close", (event) => event && page.closes.push([event.code, event.reason]));
window.addEventListener("error", (event) => page.errors.push(event.message));
window.addEventListener("unhandledrejection", (event) => page.errors.push(String(event.reason?.message ?? event.reason)));

/** Says what the test may use, and that the page is ready. */
export const ready = (fields) => Object.assign(page, fields, { isReady: true });

/** An element for the editor. */
export const place = () => document.body.appendChild(document.createElement("div"));

export const IMAGE = "data:image/png;base64,iVBORw0KGgo=";
