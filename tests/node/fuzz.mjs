// Stock Yjs clients that edit one session at random (also halves of emoji, where `halves` is given), driven by lines of JSON as in client.mjs. What they do depends on
// the seeds that they are given alone, and on what they have heard when they do it.
//
//     node fuzz.mjs '{"url": "ws://127.0.0.1:8765/sync", "session": "s", "params": [{"name": "ann"}, {"name": "ben"}]}'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { answer } from './driver.mjs'

const { url, session, params, halves } = JSON.parse(process.argv[2])
const TEXTS = ['text:a', 'text:b']
const WORDS = ['a', 'bc ', '😀', 'x😀y', '👩🏽‍🚀', 'é', '\n', 'plain words ', 'שלום', '﷽']
const VALUES = [
  null, undefined, true, false, 0, -0, -1, 42, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53 + 2, 0.1, 1e300, 5e-324,
  NaN, Infinity, -Infinity, 5n, -(2n ** 63n), 2n ** 62n + 1n, '', 'a\0b', '😀', [], {}, [1, [2, [{ z: 1, a: 2 }]]], { b: 1, a: 2, c: { y: 1, x: [null] } },
  { z: { n: 5n, m: -(2n ** 63n) }, list: [{ q: 1, p: 2 }], a: '' }, new Uint8Array([0, 1, 255]), { bytes: new Uint8Array([9]), a: 1 }, 'x'.repeat(300),
]
// What a list takes: Yjs throws at the others.
const ITEMS = VALUES.filter((value) => value !== undefined && typeof value !== 'bigint')

const open = (number) => {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(url, session, doc, {
    WebSocketPolyfill: WebSocket, params: params[number], disableBc: true, maxBackoffTime: 200,
  })
  const closes = []
  provider.on('connection-close', (event) => { if (event) closes.push(`${event.code} ${event.reason}`) })
  const roots = [...TEXTS.map((name) => doc.getText(name)), doc.getXmlFragment('xml:x'), doc.getMap('state')]
  const undo = new Y.UndoManager(roots, { captureTimeout: 0 })
  return { doc, provider, closes, undo }
}
const replicas = params.map((_, number) => open(number))

const dice = (seed) => (sides) => {
  seed = (seed * 48271) % 2147483647
  return seed % sides
}
const pick = (roll, list) => list[roll(list.length)]

// A container that is somewhere in the state, or the state itself.
const container = (roll, doc) => {
  let here = doc.getMap('state')
  for (;;) {
    const below = (here instanceof Y.Map ? [...here.values()] : here instanceof Y.Array ? here.toArray() : [])
      .filter((value) => value instanceof Y.AbstractType)
    if (!below.length || !roll(3)) return here
    here = pick(roll, below)
  }
}
const fresh = (roll, values) => pick(roll, [
  () => new Y.Map([['z', VALUES[roll(VALUES.length)]], ['a', new Y.Text('ab😀')]]),
  () => Y.Array.from([1, pick(roll, ITEMS)]),
  () => new Y.Text('text'),
  () => pick(roll, values),
  () => pick(roll, values),
])()
// A range without half an emoji at its ends: Yjs cuts it even where it then has nothing to tell the others.
const whole = (text, at, length) => {
  const shown = text.toDelta().map(({ insert }) => typeof insert === 'string' ? insert : '.').join('')
  const isInside = (index) => /^[\uD800-\uDBFF][\uDC00-\uDFFF]$/.test(shown.slice(index - 1, index + 1))
  const start = isInside(at) ? at - 1 : at
  return [start, at + length + isInside(at + length) - start]
}
const editText = (roll, text) => {
  const start = roll(text.length + 1)
  const count = Math.min(1 + roll(5), text.length - start)
  const [at, length] = halves ? [start, count] : whole(text, start, count)
  const what = roll(9)
  if (what < 4 || !length) text.insert(at, pick(roll, WORDS), roll(4) ? undefined : { bold: true })
  else if (what < 6) text.delete(at, length)
  else if (what === 6) text.format(...whole(text, at, length), pick(roll, [{ bold: true }, { bold: null }, { link: { title: 'é', href: 'x' } }, { size: roll(99) }]))
  else if (what === 7) text.insertEmbed(at, pick(roll, [{ image: 'y', alt: 'é' }, { b: 2, a: 1 }]), { width: 5 })
  else text.applyDelta([{ retain: at }, { delete: length }, { insert: pick(roll, WORDS), attributes: { italic: true } }])
}
const editXml = (roll, fragment) => {
  let here = fragment
  while (here.length && roll(3)) {
    const below = pick(roll, here.toArray())
    if (below instanceof Y.XmlText) return editText(roll, below)
    here = below
  }
  const what = roll(6)
  if (what < 2) here.insert(roll(here.length + 1), [new Y.XmlElement(pick(roll, ['p', 'li', 'h1']))])
  else if (what === 2) here.insert(roll(here.length + 1), [new Y.XmlText('words 😀')])
  else if (what === 3 && here.length) here.delete(roll(here.length), 1)
  else if (here instanceof Y.XmlElement) roll(4) ? here.setAttribute(pick(roll, ['s', 'n', 'o']), pick(roll, ['é"<&', 5, { b: 1, a: 2 }, true])) : here.removeAttribute('s')
}
const editState = (roll, doc) => {
  const here = container(roll, doc)
  if (here instanceof Y.Text) editText(roll, here)
  else if (here instanceof Y.Array) {
    const at = roll(here.length + 1)
    if (roll(3) || at === here.length) here.insert(at, roll(3) ? [fresh(roll, ITEMS)] : ITEMS.slice(0, 1 + roll(ITEMS.length)))
    else here.delete(at, Math.min(1 + roll(3), here.length - at))
  } else {
    const key = pick(roll, ['a', 'b', 'c', 'dé', '😀'])
    if (roll(4)) here.set(key, fresh(roll, VALUES))
    else here.delete(key)
  }
}
const edit = (roll, { doc, undo }) => {
  const what = roll(12)
  if (what < 4) editText(roll, doc.getText(pick(roll, TEXTS)))
  else if (what < 6) editXml(roll, doc.getXmlFragment('xml:x'))
  else if (what < 9) editState(roll, doc)
  else if (what === 9) roll(2) ? undo.undo() : undo.redo()
  else if (what === 10) doc.transact(() => { for (let n = 2 + roll(6); n; n -= 1) roll(2) ? editState(roll, doc) : editText(roll, doc.getText(pick(roll, TEXTS))) })
  else editText(roll, doc.getText('text:b'))
}

// Everything that a reader can see, with types, and keys in their order.
const told = (value) => {
  if (value === undefined) return ['undefined']
  if (typeof value === 'bigint') return ['bigint', String(value)]
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) return ['number', String(value)]
  if (value instanceof Uint8Array) return ['bytes', ...value]
  if (value instanceof Y.XmlElement) return ['element', value.nodeName, entries(value.getAttributes()), value.toArray().map(told)]
  if (value instanceof Y.XmlFragment) return ['fragment', value.toArray().map(told)]
  if (value instanceof Y.Text) return ['text', value.toDelta().map((step) => told({ ...step, insert: told(step.insert), attributes: step.attributes && entries(step.attributes) }))]
  if (value instanceof Y.Array) return ['array', value.toArray().map(told)]
  if (value instanceof Y.Map) return ['map', [...value.keys()].sort().map((key) => [key, told(value.get(key))])]
  if (Array.isArray(value)) return ['list', value.map(told)]
  if (value && typeof value === 'object') return ['object', Object.entries(value).map(([key, inner]) => [key, told(inner)])]
  return value
}
const entries = (object) => Object.keys(object).sort().map((key) => [key, told(object[key])])
const view = (doc) => JSON.stringify({
  texts: TEXTS.map((name) => told(doc.getText(name))), xml: told(doc.getXmlFragment('xml:x')), state: told(doc.getMap('state')),
})
const vector = (doc) => JSON.stringify([...Y.decodeStateVector(Y.encodeStateVector(doc))].sort((one, other) => one[0] - other[0]))
const deleted = (doc) => Buffer.from(Y.encodeSnapshot(new Y.Snapshot(Y.snapshot(doc).ds, new Map()))).toString('base64')
const pending = ({ store }) => store.pendingStructs !== null || store.pendingDs !== null

answer({
  edit: ({ replica, seed, count }) => {
    const roll = dice(seed)
    roll(7)
    for (let n = 0; n < count; n += 1) edit(roll, replicas[replica])
  },
  offline: ({ replica }) => replicas[replica].provider.disconnect(),
  online: ({ replica }) => replicas[replica].provider.connect(),
  // Where all stand: whether they are in sync with the server, and how each connection ended so far.
  status: () => replicas.map(({ doc, provider, closes }) => ({
    synced: provider.synced, wants: provider.shouldConnect, closes, vector: vector(doc), deleted: deleted(doc), pending: pending(doc),
  })),
  views: () => replicas.map(({ doc }) => view(doc)),
  texts: () => Object.fromEntries(TEXTS.map((name) => [name, replicas[0].doc.getText(name).toString()])),
  // A replica that opens the session now.
  late: async ({ number }) => {
    const { doc, provider } = open(number)
    await new Promise((resolve) => provider.once('sync', resolve))
    const seen = { view: view(doc), vector: vector(doc), pending: pending(doc) }
    provider.destroy()
    doc.destroy()
    return seen
  },
})
