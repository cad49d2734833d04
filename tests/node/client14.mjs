// Yjs 14 with its provider, `@y/websocket` 4: the same conversation as client.mjs, for what version 14 calls differently.
import { WebsocketProvider } from '@y/websocket'
import * as Y from '@y/y'
import { answer, noteFrames } from './driver.mjs'

const { url, session, params } = JSON.parse(process.argv[2])
const doc = new Y.Doc()
const { frames, Socket } = noteFrames()
const provider = new WebsocketProvider(url, session, doc, {
  WebSocketPolyfill: Socket,
  params,
  disableBc: true,
  maxBackoffTime: 400,
})

answer({
  status: () => ({ synced: provider.synced, connected: provider.wsconnected, client: doc.clientID }),
  frames: () => frames,
  clearFrames: () => { frames.length = 0 },
  text: ({ root }) => doc.get(root).toString(),
  insert: ({ root, index, text }) => {
    const target = doc.get(root)
    target.insert(index < 0 ? target.length + 1 + index : index, text)
  },
  delete: ({ root, index, length }) => doc.get(root).delete(index, length),
  vector: () => Object.fromEntries(Y.decodeStateVector(Y.encodeStateVector(doc))),
  presence: () => Object.fromEntries(provider.awareness.getStates()),
  setPresence: ({ state }) => provider.awareness.setLocalState(state),
})
