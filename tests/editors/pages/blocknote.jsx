import { withCollaboration } from "@blocknote/core/yjs";
import { BlockNoteView } from "@blocknote/mantine";
import { useCreateBlockNote } from "@blocknote/react";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";
import "@blocknote/mantine/style.css";
import { doc, IMAGE, options, place, provider, ready, synced, user } from "./page.js";

const root = doc.getXmlFragment(options.root ?? "document-store");
const collaboration = { provider, fragment: root, user, showCursorLabels: "always" };
const table = { type: "tableContent", rows: [{ cells: ["1", "2"] }, { cells: ["3", "4"] }] };
const todo = { type: "text", text: "todo", styles: { bold: true, textColor: "red" } };

function App() {
  const editor = useCreateBlockNote(withCollaboration({ collaboration }));
  useEffect(() => {
    ready({
      root,
      input: ".bn-editor",
      caret: ".bn-collaboration-cursor__label",
      shown: () => JSON.stringify(editor.document),
      focusEnd: () => {
        editor.setTextCursorPosition(editor.document.at(-1), "end");
        editor.focus();
      },
      decorate: () =>
        void editor.insertBlocks(
          [
            { type: "table", content: table },
            { type: "image", props: { url: IMAGE } },
            { type: "checkListItem", content: [todo], children: [{ type: "paragraph", content: "nested" }] },
          ],
          editor.document[0],
          "before",
        ),
    });
  }, [editor]);
  return <BlockNoteView editor={editor} />;
}
await synced;
createRoot(place()).render(<App />);
