import { EditorState } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import { basicSetup, EditorView } from "codemirror";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import * as Y from "yjs";
import { doc, options, place, provider, ready, synced, user } from "./page.js";

const root = doc.getText(options.root ?? "codemirror");
provider.awareness.setLocalStateField("user", user);
await synced;
const collaboration = yCollab(root, provider.awareness, { undoManager: new Y.UndoManager(root) });
const view = new EditorView({
  state: EditorState.create({
    doc: root.toString(),
    extensions: [keymap.of(yUndoManagerKeymap), basicSetup, collaboration],
  }),
  parent: place(),
});
ready({
  root,
  input: ".cm-content",
  caret: ".cm-ySelectionInfo",
  shown: () => view.state.doc.toString(),
  focusEnd: () => {
    view.focus();
    view.dispatch({ selection: { anchor: view.state.doc.length } });
  },
});
