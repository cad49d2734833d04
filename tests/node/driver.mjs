// What the clients of the tests share: the conversation with the test, and a socket that notes its frames.
import { createInterface } from 'node:readline'
import * as decoding from 'lib0/decoding'
import { WebSocket } from 'ws'

/** Carry out commands, in their order; the process ends when its input does. */
export const answer = (operations) => {
  const reply = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
  let last = Promise.resolve()
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const { n, op, ...rest } = JSON.parse(line)
    last = last.then(async () => {
      try {
        reply({ n, value: await operations[op](rest) })
      } catch (error) {
        reply({ n, error: String(error?.stack ?? error) })
      }
    })
  })
  lines.on('close', () => process.exit(0))
  // A stock client must never throw at what the server sends it.
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(70)
  })
}

/** A WebSocket that notes, of every frame: direction, type, kind of sync message, size, and what is left over. */
export const noteFrames = () => {
  const frames = []
  const note = (direction, data) => {
    const bytes = new Uint8Array(data)
    const frame = { direction, at: Date.now(), bytes: bytes.length }
    try {
      const decoder = decoding.createDecoder(bytes)
      frame.type = decoding.readVarUint(decoder)
      if (frame.type === 0) {
        frame.kind = decoding.readVarUint(decoder)
        frame.body = Buffer.from(decoding.readVarUint8Array(decoder)).toString('base64')
      } else if (frame.type === 1) {
        decoding.readVarUint8Array(decoder)
      } else if (frame.type === 2) {
        decoding.readVarUint(decoder)
        frame.body = decoding.readVarString(decoder)
      }
      frame.left = decoder.arr.length - decoder.pos
    } catch (error) {
      frame.broken = String(error)
    }
    frames.push(frame)
  }
  class Socket extends WebSocket {
    constructor (...options) {
      super(...options)
      this.on('message', (data, isBinary) => isBinary ? note('in', data) : frames.push({ direction: 'in', broken: 'text' }))
    }

    send (data, ...options) {
      note('out', data)
      super.send(data, ...options)
    }
  }
  return { frames, Socket }
}
