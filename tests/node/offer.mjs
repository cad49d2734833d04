// A page of the JavaScript client in a process of its own, which offers a tool until its input ends.
//
//     node offer.mjs http://127.0.0.1:8765 SESSION USER
//
// It says "ready" when the offer stands, and "called" at each call.
import { createInterface } from 'node:readline'

const { connect } = await import('../../src/cosession/server/static/cosession.js')
const [url, id, user] = process.argv.slice(2)
const session = connect(url, id, { participant: user, name: user })
await session.waitSynced()
session.tools.offer('where', {
  description: 'Where are you?',
  call: ({ about }) => {
    console.log('called')
    return { about, by: user }
  },
})
await session.waitSaved()
console.log('ready')
createInterface({ input: process.stdin }).on('close', () => process.exit(0))
