import { Editor } from "@tiptap/core";
import Collaboration from "@tiptap/extension-collaboration";
import CollaborationCaret from "@tiptap/extension-collaboration-caret";
import Image from "@tiptap/extension-image";
import Mention from "@tiptap/extension-mention";
import { TableKit } from "@tiptap/extension-table";
import StarterKit from "@tiptap/starter-kit";
import { doc, IMAGE, options, place, provider, ready, synced, user } from "./page.js";

const root = doc.getXmlFragment(options.root ?? "default");
await synced;
const editor = new Editor({
  element: place(),
  extensions: [
    StarterKit.configure({ undoRedo: false }),
    Collaboration.configure(options.root ? { document: doc, field: options.root } : { document: doc }),
    CollaborationCaret.configure({ provider, user }),
    TableKit,
    Image.configure({ inline: true, allowBase64: true }),
    Mention.configure({ suggestion: { items: () => ["ada", "ben"], render: () => ({}) } }),
  ],
});
ready({
  root,
  input: ".ProseMirror",
  caret: ".collaboration-carets__label",
  shown: () => editor.getHTML(),
  focusEnd: () => editor.chain().focus("end").run(),
  decorate: () =>
    editor
      .chain()
      .focus("start")
      .insertTable({ rows: 2, cols: 2, withHeaderRow: true })
      .insertContent([{ type: "mention", attrs: { id: "ada", label: "Ada" } }, { type: "text", text: " in a cell " }])
      .focus("end")
      .setImage({ src: IMAGE })
      .toggleBulletList()
      .run(),
});
