// Reads lines of JSON from stdin: {whole, pieces} (updates in base64). For each it applies the pieces, in their order, to
// one document and the whole to another, and prints what differs, what was ever pending, and what both come to.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'

const bytes = (text) => Buffer.from(text, 'base64')
const sorted = (_key, value) =>
  value && value.constructor === Object ? Object.fromEntries(Object.entries(value).sort()) : value
const seen = (doc) => JSON.stringify({
  vector: Object.fromEntries(Y.decodeStateVector(Y.encodeStateVector(doc))),
  deletions: [...Y.encodeSnapshot(new Y.Snapshot(Y.snapshot(doc).ds, new Map()))],
  text: doc.getText('t').toString(),
  array: doc.getArray('a').toJSON(),
  map: doc.getMap('m').toJSON(),
  xml: doc.getXmlFragment('x').toString(),
}, sorted)

for await (const line of createInterface({ input: process.stdin })) {
  const { whole, pieces } = JSON.parse(line)
  const one = new Y.Doc()
  Y.applyUpdate(one, bytes(whole))
  const other = new Y.Doc()
  let pending = 0
  for (const piece of pieces) {
    Y.applyUpdate(other, bytes(piece))
    if (other.store.pendingStructs !== null || other.store.pendingDs !== null) pending += 1
  }
  const merged = new Y.Doc()
  Y.applyUpdate(merged, Y.mergeUpdates(pieces.map(bytes)))
  const [expected, applied, together] = [one, other, merged].map(seen)
  console.log(JSON.stringify({ pieces: applied === expected, merged: together === expected, pending, text: one.getText('t') }))
}
