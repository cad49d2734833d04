// Reads lines of JSON from stdin: {roots, updates} (updates in base64). For each it applies the updates, in their order,
// to a document of Yjs, and prints the roots as JSON, and whether something was ever pending.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'

const read = (doc, name, kind) => {
  if (kind === 'Array') return doc.getArray(name).toJSON()
  if (kind === 'Text') return doc.getText(name).toString()
  return doc.getMap(name).toJSON()
}

for await (const line of createInterface({ input: process.stdin })) {
  const { roots, updates } = JSON.parse(line)
  const doc = new Y.Doc()
  let pending = 0
  for (const update of updates) {
    Y.applyUpdate(doc, Buffer.from(update, 'base64'))
    if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) pending += 1
  }
  const json = Object.fromEntries(Object.entries(roots).map(([name, kind]) => [name, read(doc, name, kind)]))
  console.log(JSON.stringify({ json, pending }))
}
