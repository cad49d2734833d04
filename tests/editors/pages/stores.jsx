// State libraries: SyncedStore, valtio-yjs and react-yjs, in one document.
import { syncedStore } from "@syncedstore/core";
import { createRoot } from "react-dom/client";
import { useY } from "react-yjs";
import { proxy } from "valtio";
import { bind } from "valtio-yjs";
import * as Y from "yjs";
import { doc, options, place, provider, ready, synced, user } from "./page.js";

provider.awareness.setLocalStateField("user", user);
await synced;
const parent = options.root ? doc.getMap(options.root) : null;
const inParent = (key, Type) => {
  if (options.isFirst && !parent.has(key)) parent.set(key, new Type());
  return parent.get(key);
};
const settings = parent ? inParent("settings", Y.Map) : doc.getMap("settings");
const names = parent ? inParent("names", Y.Array) : doc.getArray("names");
const todoList = parent ? inParent("todos", Y.Array) : null;
const store = parent ? syncedStore({ [options.root]: {} }, doc) : syncedStore({ todos: [], note: "text" }, doc);
const todos = () => (parent ? store[options.root].todos : store.todos);
const state = proxy({});
bind(state, settings);

function App() {
  return <p id="names">{useY(names).join(",")}</p>;
}
createRoot(place()).render(<App />);
ready({
  root: {
    toJSON: () => ({
      todos: (todoList ?? doc.getArray("todos")).toJSON(),
      settings: settings.toJSON(),
      names: names.toJSON(),
    }),
  },
  shown: () => JSON.stringify([todos().map(({ title, done }) => [title, done]), state, names.toArray()]),
  addTodo: (title) => void todos().push({ title, done: false, tags: ["é", "😀"] }),
  toggle: (index) => {
    todos()[index].done = !todos()[index].done;
  },
  set: (key, value) => {
    state[key] = value;
  },
  addName: (name) => names.push([name]),
});
