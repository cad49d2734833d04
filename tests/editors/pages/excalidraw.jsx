import { convertToExcalidrawElements, Excalidraw } from "@excalidraw/excalidraw";
import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { ExcalidrawBinding, yjsToExcalidraw } from "y-excalidraw";
import * as Y from "yjs";
import "@excalidraw/excalidraw/index.css";
import { doc, options, place, provider, ready, synced, user } from "./page.js";

window.EXCALIDRAW_ASSET_PATH = "/none/";

/** The two shared types that the binding wants: roots of its own, or entries of the one Map that is named. */
function sharedTypes() {
  if (!options.root) return [doc.getArray("elements"), doc.getMap("assets")];
  const parent = doc.getMap(options.root);
  if (options.isFirst && !parent.has("elements")) {
    parent.set("elements", new Y.Array());
    parent.set("assets", new Y.Map());
  }
  return [parent.get("elements"), parent.get("assets")];
}

function App({ elements, assets }) {
  const [api, setApi] = useState(null);
  const [binding, setBinding] = useState(null);
  const frame = useRef(null);
  useEffect(() => {
    if (!api) return;
    const undoManager = new Y.UndoManager(elements);
    const bound = new ExcalidrawBinding(elements, assets, api, provider.awareness, {
      excalidrawDom: frame.current,
      undoManager,
    });
    setBinding(bound);
    const add = (more) =>
      api.updateScene({
        elements: [...api.getSceneElementsIncludingDeleted(), ...convertToExcalidrawElements(more)],
        captureUpdate: "IMMEDIATELY",
      });
    ready({
      root: elements,
      undo: () => void undoManager.undo(),
      redo: () => void undoManager.redo(),
      shown: () => JSON.stringify(api.getSceneElements().map(({ id, type, text }) => [id, type, text]).sort()),
      /** Draws so many rectangles, and a text. */
      draw: (count, text) => {
        const boxes = Array.from({ length: count }, (_, i) => ({
          type: "rectangle",
          x: 10 + ((i * 7) % 800),
          y: 10 + ((i * 3) % 400),
          width: 30,
          height: 20,
        }));
        add([...boxes, { type: "text", x: 10, y: 10, text }]);
      },
      /** Selects everything, which the others see in presence. */
      selectAll: () => {
        const selectedElementIds = Object.fromEntries(api.getSceneElements().map(({ id }) => [id, true]));
        api.updateScene({ appState: { selectedElementIds } });
      },
      /** Puts in a picture of so many bytes. */
      insertImage: (bytes) => {
        const id = crypto.randomUUID();
        const dataURL = `data:image/png;base64,${"A".repeat(bytes)}`;
        api.addFiles([{ id, mimeType: "image/png", created: Date.now(), dataURL }]);
        add([{ type: "image", fileId: id, x: 1, y: 1, width: 10, height: 10 }]);
      },
    });
    return () => bound.destroy();
  }, [api, elements, assets]);
  return (
    <div ref={frame} style={{ width: "90vw", height: "80vh" }}>
      <Excalidraw
        initialData={{ elements: yjsToExcalidraw(elements) }}
        excalidrawAPI={setApi}
        onPointerUpdate={binding?.onPointerUpdate}
      />
    </div>
  );
}
provider.awareness.setLocalStateField("user", user);
await synced;
const [elements, assets] = sharedTypes();
createRoot(place()).render(<App elements={elements} assets={assets} />);
