import { ListItemNode, ListNode } from "@lexical/list";
import { LexicalCollaboration } from "@lexical/react/LexicalCollaborationContext";
import { CollaborationPlugin } from "@lexical/react/LexicalCollaborationPlugin";
import { LexicalComposer } from "@lexical/react/LexicalComposer";
import { useLexicalComposerContext } from "@lexical/react/LexicalComposerContext";
import { ContentEditable } from "@lexical/react/LexicalContentEditable";
import { LexicalErrorBoundary } from "@lexical/react/LexicalErrorBoundary";
import { ListPlugin } from "@lexical/react/LexicalListPlugin";
import { RichTextPlugin } from "@lexical/react/LexicalRichTextPlugin";
import { TablePlugin } from "@lexical/react/LexicalTablePlugin";
import { HeadingNode, QuoteNode } from "@lexical/rich-text";
import { INSERT_TABLE_COMMAND, TableCellNode, TableNode, TableRowNode } from "@lexical/table";
import { $createParagraphNode, $createTextNode, $getRoot } from "lexical";
import { useEffect, useRef } from "react";
import { createRoot } from "react-dom/client";
import * as Y from "yjs";
import { doc, options, page, place, provider, ready, synced, user } from "./page.js";

const nodes = [TableNode, TableRowNode, TableCellNode, ListNode, ListItemNode, HeadingNode, QuoteNode];
const root = doc.get(options.root ?? "root", Y.XmlText);
const providerFactory = (id, documents) => {
  documents.set(id, doc);
  return provider;
};

function Ready() {
  const [editor] = useLexicalComposerContext();
  useEffect(() => {
    synced.then(() =>
      ready({
        root,
        input: "[contenteditable]",
        caret: ".carets span",
        shown: () => JSON.stringify(editor.getEditorState().toJSON().root),
        focusEnd: () => {
          document.querySelector("[contenteditable]").focus();
          editor.update(() => void $getRoot().selectEnd(), { discrete: true });
        },
        decorate: () => {
          editor.dispatchCommand(INSERT_TABLE_COMMAND, { rows: "2", columns: "2" });
          editor.update(
            () => {
              const text = $createTextNode("bold 😀 text");
              text.toggleFormat("bold");
              $getRoot().append($createParagraphNode().append(text));
            },
            { discrete: true },
          );
        },
      }),
    );
  }, [editor]);
  return null;
}

function App() {
  const carets = useRef(null);
  const onError = (error) => page.errors.push(`lexical: ${error.message}`);
  return (
    <LexicalComposer initialConfig={{ namespace: "test", editorState: null, nodes, onError }}>
      <LexicalCollaboration>
        <div ref={carets} className="carets" />
        <RichTextPlugin
          contentEditable={<ContentEditable style={{ minHeight: 200 }} />}
          ErrorBoundary={LexicalErrorBoundary}
        />
        <ListPlugin />
        <TablePlugin />
        <CollaborationPlugin
          id="main"
          providerFactory={providerFactory}
          shouldBootstrap={options.isFirst}
          username={user.name}
          cursorColor={user.color}
          cursorsContainerRef={carets}
          {...(options.root ? { rootName: options.root } : {})}
        />
        <Ready />
      </LexicalCollaboration>
    </LexicalComposer>
  );
}
createRoot(place()).render(<App />);
