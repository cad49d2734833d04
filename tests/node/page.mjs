// Reads lines of JSON from stdin: {updates} (in base64). Each is a page that has roots of all kinds open and listens to
// them. It gets the updates, then it is used; prints what threw, by where, and whether the page still sends what it writes.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'

console.error = () => {} // Yjs says what it throws

const attempt = (thrown, where, act) => {
  try {
    return act()
  } catch (error) {
    thrown[where] = String(error?.message ?? error)
    return null
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { updates } = JSON.parse(line)
  const thrown = {}
  const doc = new Y.Doc()
  const roots = [doc.getText('text'), doc.getArray('array'), doc.getMap('map'), doc.getXmlFragment('xml')]
  const sent = []
  doc.on('update', (update) => sent.push(update))
  for (const root of roots) {
    root.observeDeep((events) => {
      for (const event of events) attempt(thrown, 'event', () => [event.delta, event.keys, event.changes, event.path])
    })
  }
  for (const update of updates) attempt(thrown, 'apply', () => Y.applyUpdate(doc, Buffer.from(update, 'base64')))
  if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) thrown.apply ??= 'something is pending'
  const read = (from) => [
    from.getText('text').toDelta(), from.getText('text').toString(), from.getArray('array').toJSON(),
    from.getMap('map').toJSON(), from.getXmlFragment('xml').toString(), from.toJSON(),
  ]
  attempt(thrown, 'read', () => read(doc))
  attempt(thrown, 'encode', () => {
    const late = new Y.Doc()
    Y.applyUpdate(late, Y.encodeStateAsUpdate(doc))
    read(late)
  })
  const before = sent.length
  attempt(thrown, 'write', () => {
    roots[0].insert(0, 'x')
    roots[0].format(0, roots[0].length, { bold: true })
    roots[1].push([1])
    roots[2].set('other', 1)
    for (const key of [...roots[2].keys()]) roots[2].delete(key)
    roots[0].delete(0, roots[0].length)
    roots[1].delete(0, roots[1].length)
    roots[3].delete(0, roots[3].length)
    roots[1].push([2])
  })
  const heard = new Y.Doc()
  attempt(thrown, 'sent', () => sent.forEach((update) => Y.applyUpdate(heard, update)))
  const arrives = heard.getArray('array').toJSON().includes(2)
  console.log(JSON.stringify({ thrown, alive: sent.length - before >= 6 && arrives }))
}
