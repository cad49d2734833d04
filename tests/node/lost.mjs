// A page of the JavaScript client in a process of its own, which writes what it is told and says what of it was lost.
//
//     node lost.mjs http://127.0.0.1:8765 SESSION TOKEN
//
// Each line of its input is a list of calls, `[method, ...arguments]` each, done in one turn. The answer is a line: what
// the page was told as refused, and its messages then.
import { createInterface } from 'node:readline'

const { connect } = await import('../../src/cosession/server/static/cosession.js')
const [url, id, token] = process.argv.slice(2)
const session = connect(url, id, { token })
await session.waitSynced()
for await (const line of createInterface({ input: process.stdin })) {
  const told = new Promise((resolve) => session.on('refused', resolve))
  for (const [path, ...given] of JSON.parse(line)) {
    if (path === 'raw') {
      const [root, key, value] = given // written below the client, which would refuse it at once
      session.doc.getMap(root).set(key, value)
      continue
    }
    const [method, holder] = path.split('.').reverse()
    const on = holder === undefined ? session : session[holder]
    on[method](...given)
  }
  const { close, touched, lost } = await told
  await session.waitSaved()
  console.log(JSON.stringify({ close, touched, lost, texts: session.messages.all.map(({ text }) => text) }))
}
process.exit(0)
