// The order of the talk: the planner's tasks for its specialists are shown on their cards, and their answers follow the
// message that called them.

/** The messages of a session, in this order. */
export function threaded(session) {
  const [messages, runs] = [session.messages.all, session.runs.all];
  const asked = new Map(messages.filter(isDelegation).map(({ id, run }) => [id, run]));
  const leader = new Map(runs.map((run) => [run.id, asked.get(run.replyTo)])); // run → the run that asked for it
  const parts = Map.groupBy(messages.filter((message) => !isDelegation(message)), ({ run }) => leader.get(run));
  const ordered = [];
  for (const message of parts.get(undefined) ?? []) {
    const { run } = message;
    ordered.push(message);
    if (run && parts.has(run)) {
      ordered.push(...parts.get(run));
      parts.delete(run);
    }
  }
  for (const [run, rest] of parts) if (run !== undefined) ordered.push(...rest); // the planner has said nothing yet
  return ordered;
}

function isDelegation({ role, to }) {
  return role === "assistant" && to.length > 0;
}
