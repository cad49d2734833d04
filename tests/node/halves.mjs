// Replicas of a text that are edited by UTF-16 units, without regard to characters. Reads lines of JSON from stdin and
// answers each with one: {replicas} makes new ones; {replica, hear, seed} applies updates (base64) to one, edits it if
// there is a seed, and gives the updates that this made and the text.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'

const WORDS = ['a', 'bc ', '😀', '🐙🐙', 'x😀y', '😀😁😂', 'é', '👩🏽‍🚀']
const HEARD = 'heard'
let replicas = []

const make = (client) => {
  const doc = new Y.Doc()
  doc.clientID = client
  const replica = { doc, text: doc.getText('text:n'), made: [] }
  replica.undo = new Y.UndoManager(replica.text, { captureTimeout: 0 })
  doc.on('update', (update, origin) => {
    if (origin !== HEARD) replica.made.push(Buffer.from(update).toString('base64'))
  })
  return replica
}

const edit = ({ text, undo }, seed) => {
  const dice = (sides) => (seed = (seed * 48271) % 2147483647) % sides
  dice(7)
  const what = dice(8)
  const at = dice(text.length + 1)
  if (what < 3 || at === text.length) text.insert(at, WORDS[dice(WORDS.length)])
  else if (what < 6) text.delete(at, 1 + dice(Math.min(3, text.length - at)))
  else if (what === 6) dice(2) ? undo.undo() : undo.redo()
  else text.format(at, 1, { size: seed })
}

for await (const line of createInterface({ input: process.stdin })) {
  const { replicas: clients, replica: number, hear, seed } = JSON.parse(line)
  if (clients) replicas = clients.map(make)
  const replica = replicas[number ?? 0]
  for (const update of hear ?? []) Y.applyUpdate(replica.doc, Buffer.from(update, 'base64'), HEARD)
  if (seed) edit(replica, seed)
  const { doc: { store }, text, made } = replica
  const pending = store.pendingStructs !== null || store.pendingDs !== null
  console.log(JSON.stringify({ updates: made.splice(0), text: text.toString(), pending }))
}
