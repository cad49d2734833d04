// One stock Yjs client in a process of its own, driven by lines of JSON: {n, op, ...} in, {n, value | error} out.
//
//     node client.mjs '{"url": "ws://127.0.0.1:8765/sync", "session": "s", "provider": 3, "params": {}}'
//
// The provider is y-websocket 1, 2 or 3 as published. Only its socket is ours: it notes every frame.
import * as Y from 'yjs'
import { answer, noteFrames } from './driver.mjs'

const { url, session, provider: major, params } = JSON.parse(process.argv[2])
const { WebsocketProvider } = await import(major === 3 ? 'y-websocket' : `y-websocket-${major}`)

const { readAuthMessage } = await import('y-protocols/auth')

const doc = new Y.Doc()
const { frames, Socket } = noteFrames()
const provider = new WebsocketProvider(url, session, doc, {
  WebSocketPolyfill: Socket,
  params,
  disableBc: true,
  maxBackoffTime: 400,
})
const closes = []
const denials = []
let finalClose = null
let undoing = null
provider.on('connection-close', (event) => closes.push({ code: event?.code ?? null, reason: String(event?.reason ?? '') }))
provider.messageHandlers = [...provider.messageHandlers]
provider.messageHandlers[2] = (_encoder, decoder) => readAuthMessage(decoder, provider, (_provider, reason) => denials.push(reason))
provider.on('closed', (close) => { finalClose = close })

const place = (index, length) => index < 0 ? length + 1 + index : Math.min(index, length)

answer({
  status: () => ({
    synced: provider.synced,
    connected: provider.wsconnected,
    wants: provider.shouldConnect,
    client: doc.clientID,
    closes,
    denials,
    finalClose,
  }),
  connect: () => provider.connect(),
  disconnect: () => provider.disconnect(),
  frames: () => frames,
  clearFrames: () => { frames.length = 0 },

  text: ({ root }) => doc.getText(root).toString(),
  map: ({ root }) => doc.getMap(root).toJSON(),
  array: ({ root }) => doc.getArray(root).toJSON(),
  // What every replica must agree on: all that is known, all that is deleted, and what it comes to.
  digest: ({ texts = [], maps = [], arrays = [] }) => ({
    vector: Object.fromEntries(Y.decodeStateVector(Y.encodeStateVector(doc))),
    deletions: Buffer.from(Y.encodeSnapshot(new Y.Snapshot(Y.snapshot(doc).ds, new Map()))).toString('base64'),
    pending: doc.store.pendingStructs !== null || doc.store.pendingDs !== null,
    texts: texts.map((root) => doc.getText(root).toString()),
    maps: maps.map((root) => doc.getMap(root).toJSON()),
    arrays: arrays.map((root) => doc.getArray(root).toJSON()),
  }),
  state: () => Buffer.from(Y.encodeStateAsUpdate(doc)).toString('base64'),

  insert: ({ root, index, text }) => {
    const target = doc.getText(root)
    target.insert(place(index, target.length), text)
  },
  delete: ({ root, index, length }) => doc.getText(root).delete(index, length),
  set: ({ root, key, value }) => doc.getMap(root).set(key, value),
  push: ({ root, values }) => doc.getArray(root).push(values),
  // Types text code point by code point, each an update of its own, anywhere between what is there.
  type: async ({ root, text, seed = 1 }) => {
    const target = doc.getText(root)
    let random = seed
    for (const piece of text) {
      random = (random * 1103515245 + 12345) % 2147483648
      const points = [...target.toString()]
      const at = points.slice(0, random % (points.length + 1)).join('').length
      target.insert(at, piece)
      if (random % 5 === 0 && points.length > 3) {
        const first = [...target.toString()][0]
        target.delete(0, first.length)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  },
  burst: ({ root, count, text }) => {
    const target = doc.getText(root)
    for (let index = 0; index < count; index += 1) target.insert(target.length, text)
  },

  message: ({ id, role, text, author }) => {
    const message = new Y.Map()
    const part = new Y.Map(Object.entries({ type: 'text', text: new Y.Text(text), state: 'done' }))
    const metadata = new Y.Map(Object.entries({ author, created_at: '2026-01-01T00:00:00Z', status: 'complete' }))
    for (const [key, value] of Object.entries({ id, role, parts: Y.Array.from([part]), metadata })) message.set(key, value)
    doc.getArray('messages').push([message])
  },

  appendToMessage: ({ index, text }) => {
    const target = doc.getArray('messages').get(index).get('parts').get(0).get('text')
    target.insert(target.length, text)
  },

  // From now on, what this client does to an array can be undone, one call at a time.
  keepUndo: ({ root }) => { undoing = new Y.UndoManager(doc.getArray(root), { captureTimeout: 0 }) },
  undo: () => undoing.undo() !== null,
  redo: () => undoing.redo() !== null,

  setPresence: ({ state }) => provider.awareness.setLocalState(state),
  presence: () => Object.fromEntries(provider.awareness.getStates()),
})
