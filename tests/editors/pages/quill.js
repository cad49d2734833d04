import Quill from "quill";
import QuillCursors from "quill-cursors";
import { QuillBinding } from "y-quill";
import * as Y from "yjs";
import "quill/dist/quill.snow.css";
import { doc, IMAGE, options, place, provider, ready, synced, user } from "./page.js";

Quill.register("modules/cursors", QuillCursors);
const root = doc.getText(options.root ?? "quill");
provider.awareness.setLocalStateField("user", user);
await synced;
const modules = { cursors: true, toolbar: false, history: { userOnly: true } };
const quill = new Quill(place(), { modules, theme: "snow" });
const binding = new QuillBinding(root, quill, provider.awareness);
const undoManager = new Y.UndoManager(root, { trackedOrigins: new Set([binding]) });
ready({
  root,
  undo: () => void undoManager.undo(),
  redo: () => void undoManager.redo(),
  input: ".ql-editor",
  caret: ".ql-cursor-name",
  // Nothing is compared: after an embed two pages of y-quill show equal documents in two ways.
  shown: () => "",
  focusEnd: () => {
    quill.focus();
    quill.setSelection(quill.getLength() - 1, 0, "user");
  },
  decorate: () => {
    quill.formatText(0, 3, { bold: true, color: "#ff0000" }, "user");
    quill.insertEmbed(0, "image", IMAGE, "user");
    quill.formatLine(0, 1, "header", 2, "user");
  },
});
