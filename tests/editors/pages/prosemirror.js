import { baseKeymap, toggleMark } from "prosemirror-commands";
import { keymap } from "prosemirror-keymap";
import { Schema } from "prosemirror-model";
import { schema as basic } from "prosemirror-schema-basic";
import { addListNodes } from "prosemirror-schema-list";
import { EditorState, Selection } from "prosemirror-state";
import { tableEditing, tableNodes } from "prosemirror-tables";
import { EditorView } from "prosemirror-view";
import { redo, undo, yCursorPlugin, ySyncPlugin, yUndoPlugin } from "y-prosemirror";
import { doc, IMAGE, options, place, provider, ready, synced, user } from "./page.js";

const mention = {
  inline: true,
  group: "inline",
  attrs: { id: {} },
  toDOM: (node) => ["span", { class: "mention" }, `@${node.attrs.id}`],
};
const nodes = addListNodes(basic.spec.nodes, "paragraph block*", "block")
  .append(tableNodes({ tableGroup: "block", cellContent: "block+", cellAttributes: {} }))
  .append({ mention });
const schema = new Schema({ nodes, marks: basic.spec.marks });
const root = doc.getXmlFragment(options.root ?? "prosemirror");
provider.awareness.setLocalStateField("user", user);
await synced;
const keys = { "Mod-z": undo, "Mod-y": redo, "Mod-b": toggleMark(schema.marks.strong) };
const view = new EditorView(place(), {
  state: EditorState.create({
    schema,
    plugins: [
      ySyncPlugin(root),
      yCursorPlugin(provider.awareness),
      yUndoPlugin(),
      keymap(keys),
      keymap(baseKeymap),
      tableEditing(),
    ],
  }),
});
const { nodes: make } = schema;
const paragraph = (...children) => make.paragraph.create(null, children);
const row = (...cells) =>
  make.table_row.create(null, cells.map((text) => make.table_cell.create(null, paragraph(schema.text(text)))));
ready({
  root,
  input: ".ProseMirror",
  caret: ".ProseMirror-yjs-cursor",
  shown: () => JSON.stringify(view.state.doc.toJSON()),
  focusEnd: () => {
    view.focus();
    view.dispatch(view.state.tr.setSelection(Selection.atEnd(view.state.doc)));
  },
  decorate: () => {
    view.dispatch(
      view.state.tr.insert(0, [
        make.table.create(null, [row("1", "2"), row("3", "4")]),
        paragraph(schema.text("hi "), make.mention.create({ id: "ada" }), make.image.create({ src: IMAGE })),
        make.bullet_list.create(null, [make.list_item.create(null, paragraph(schema.text("x")))]),
      ]),
    );
  },
});
