import { slateNodesToInsertDelta, withCursors, withYHistory, withYjs, YjsEditor } from "@slate-yjs/core";
import { useRemoteCursorOverlayPositions } from "@slate-yjs/react";
import { useEffect, useMemo, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { createEditor, Editor, Transforms } from "slate";
import { Editable, ReactEditor, Slate, withReact } from "slate-react";
import * as Y from "yjs";
import { doc, IMAGE, options, place, provider, ready, synced, user } from "./page.js";

const root = doc.get(options.root ?? "content", Y.XmlText);
const data = { name: user.name, color: user.color };

function Carets({ container, children }) {
  const [carets] = useRemoteCursorOverlayPositions({ containerRef: container });
  return (
    <>
      {children}
      {carets.map((caret) => (
        <span className="caret" key={caret.clientId}>
          {caret.data?.name}
        </span>
      ))}
    </>
  );
}

function App() {
  const container = useRef(null);
  const [value] = useState([]);
  const editor = useMemo(() => {
    const shared = withYjs(createEditor(), root, { autoConnect: false });
    return withReact(withYHistory(withCursors(shared, provider.awareness, { data })));
  }, []);
  useEffect(() => {
    YjsEditor.connect(editor);
    ready({
      root,
      input: "[data-slate-editor]",
      caret: ".caret",
      shown: () => JSON.stringify(editor.children),
      focusEnd: () => {
        ReactEditor.focus(editor);
        Transforms.select(editor, Editor.end(editor, []));
      },
      decorate: () => {
        const cells = [
          { type: "td", children: [{ text: "1" }] },
          { type: "td", children: [{ text: "2", bold: true }] },
        ];
        const table = { type: "table", children: [{ type: "tr", children: cells }] };
        const image = { type: "image", url: IMAGE, children: [{ text: "" }] };
        Transforms.insertNodes(editor, [table, image], { at: [0] });
        Editor.addMark(editor, "bold", true);
      },
    });
    return () => YjsEditor.disconnect(editor);
  }, [editor]);
  return (
    <div ref={container} style={{ position: "relative" }}>
      <Slate editor={editor} initialValue={value}>
        <Carets container={container}>
          <Editable
            renderElement={({ attributes, children }) => <p {...attributes}>{children}</p>}
            renderLeaf={({ attributes, children, leaf }) => (
              <span {...attributes} style={{ fontWeight: leaf.bold ? "bold" : "" }}>
                {children}
              </span>
            )}
          />
        </Carets>
      </Slate>
    </div>
  );
}
await synced;
if (options.isFirst && root.length === 0) {
  root.applyDelta(slateNodesToInsertDelta([{ type: "paragraph", children: [{ text: "" }] }]));
}
createRoot(place()).render(<App />);
