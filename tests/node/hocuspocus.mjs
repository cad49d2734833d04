// hocuspocus' stock provider in a process of its own, with as many documents as the test opens on one socket.
//
//     node hocuspocus.mjs '{"url": "ws://127.0.0.1:8765/hocuspocus"}'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import { answer } from './driver.mjs'

const { url } = JSON.parse(process.argv[2])
const closes = []
const websocketProvider = new HocuspocusProviderWebsocket({
  url,
  delay: 100,
  minDelay: 50,
  maxDelay: 400,
  onClose: ({ event }) => closes.push({ code: event.code, reason: event.reason }),
})
const documents = new Map()

const at = (document) => documents.get(document)
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

answer({
  open: ({ document, name = document, token = null, sessionAwareness = false }) => {
    const state = { log: [], token, asked: 0, stateless: [] }
    state.provider = new HocuspocusProvider({
      websocketProvider,
      name,
      sessionAwareness,
      token: async () => { state.asked += 1; return state.token },
      onAuthenticated: ({ scope }) => state.log.push({ scope }),
      onAuthenticationFailed: ({ reason }) => state.log.push({ denied: reason }),
      onClose: ({ event }) => state.log.push({ code: event.code, reason: event.reason }),
      onStateless: ({ payload }) => state.stateless.push(payload),
    })
    documents.set(document, state)
    state.provider.attach()
  },
  destroy: ({ document }) => {
    at(document).provider.destroy()
    documents.delete(document)
  },
  closes: () => closes,
  disconnect: () => {
    websocketProvider.disconnect()
    return until(() => websocketProvider.status === 'disconnected')
  },
  connect: () => { websocketProvider.connect() },
  setToken: ({ document, token }) => { at(document).token = token },
  sendToken: ({ document }) => at(document).provider.sendToken(),
  sendStateless: ({ document, payload }) => at(document).provider.sendStateless(payload),
  forceSync: ({ document }) => at(document).provider.forceSync(),
  status: ({ document }) => {
    const { provider, log, asked, stateless } = at(document)
    return { synced: provider.synced, unsynced: provider.unsyncedChanges, scope: provider.authorizedScope, log, asked, stateless }
  },
  text: ({ document, root = 'text:note' }) => at(document).provider.document.getText(root).toString(),
  insert: ({ document, root = 'text:note', index = 0, text }) => at(document).provider.document.getText(root).insert(index, text),
  set: ({ document, root, key, value }) => at(document).provider.document.getMap(root).set(key, value),
  burst: ({ document, root = 'text:note', count, text }) => {
    const target = at(document).provider.document.getText(root)
    for (let index = 0; index < count; index += 1) target.insert(target.length, text)
  },
  // Answers in the same turn of the loop in which the last receipt came.
  saved: ({ document }) => until(() => at(document).provider.synced && !at(document).provider.hasUnsyncedChanges),
  setPresence: ({ document, name }) => at(document).provider.setAwarenessField('user', { name }),
  presence: ({ document }) => [...at(document).provider.awareness.getStates().values()],
})
