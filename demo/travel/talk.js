// The talk as people read it: what the planner asks of its specialists stands on their cards, and their answers come
// behind the message that called them.

import { list } from "../chat/given.js";

/** The session, with its messages in this order. */
export function threaded(session) {
  const messages = order(session);
  return new Proxy(session, {
    get(target, name) {
      if (name === "messages") return messages;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function order({ messages, runs }) {
  const asked = new Map(messages.filter(isDelegation).map(({ id, metadata }) => [id, metadata.run]));
  const leader = new Map(runs.map((run) => [run.id, asked.get(run.reply_to)])); // run → the run that asked for it
  const parts = Map.groupBy(messages.filter((message) => !isDelegation(message)), ({ metadata }) => leader.get(metadata.run));
  const ordered = [];
  for (const message of parts.get(undefined) ?? []) {
    const { run } = message.metadata;
    ordered.push(message);
    if (run && parts.has(run)) {
      ordered.push(...parts.get(run));
      parts.delete(run);
    }
  }
  for (const [run, rest] of parts) if (run !== undefined) ordered.push(...rest); // the planner has said nothing yet
  return ordered;
}

function isDelegation({ role, metadata }) {
  return role === "assistant" && list(metadata.to).length > 0;
}
