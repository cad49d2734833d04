import Quill from "quill";
import QuillCursors from "quill-cursors";
import { QuillBinding } from "y-quill";
import "quill/dist/quill.snow.css";
import { doc, IMAGE, options, place, provider, ready, synced, undoOf, user } from "./page.js";

Quill.register("modules/cursors", QuillCursors);
const root = doc.getText(options.root ?? "quill");
provider.awareness.setLocalStateField("user", user);
await synced;
const { undo, redo } = undoOf(root);
const modules = { cursors: true, toolbar: false, history: { userOnly: true } };
const quill = new Quill(place(), { modules, theme: "snow" });
new QuillBinding(root, quill, provider.awareness);
ready({
  root,
  undo,
  redo,
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
