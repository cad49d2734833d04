import * as monaco from "monaco-editor";
import { MonacoBinding } from "y-monaco";
import { doc, options, place, provider, ready, synced, user } from "./page.js";

const idle = new Blob(["self.onmessage = () => {}"], { type: "text/javascript" });
self.MonacoEnvironment = { getWorker: () => new Worker(URL.createObjectURL(idle)) };
const root = doc.getText(options.root ?? "monaco");
provider.awareness.setLocalStateField("user", user);
await synced;
const element = place();
element.style.height = "400px";
const editor = monaco.editor.create(element, {
  value: "",
  language: "plaintext",
  automaticLayout: true,
  quickSuggestions: false,
  wordBasedSuggestions: "off",
  autoClosingBrackets: "never",
  autoClosingQuotes: "never",
});
const model = editor.getModel();
new MonacoBinding(root, model, new Set([editor]), provider.awareness);
ready({
  root,
  input: ".monaco-editor textarea, .native-edit-context",
  caret: ".yRemoteSelectionHead",
  shown: () => model.getValue(),
  focusEnd: () => {
    editor.focus();
    editor.setPosition(model.getPositionAt(model.getValueLength()));
  },
});
