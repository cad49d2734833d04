/** The views of a session: values whose events are emitted when they have changed. */

import type { Events } from "./events.ts";
import type { SessionEvents } from "./options.ts";
import type { Selections } from "./selections.ts";

export type View = Exclude<
  keyof SessionEvents,
  "status" | "saved" | "synced" | "copy" | "refused" | "edit" | "doc" | "change"
>;

/** The views after a change of a root, by the root's name. */
const OF_ROOT: Readonly<Record<string, readonly View[]>> = {
  messages: ["messages"],
  runs: ["runs"],
  agents: ["agents"],
  participants: ["people", "presence", "me"],
  state: ["state"],
  selections: ["selections"],
  counters: ["counters"],
  approvals: ["approvals"],
  claims: ["claims"],
  queue: ["queue"],
  meta: ["title", "policy"],
};

/** The views after a change of presence. */
const OF_PRESENCE: readonly View[] = ["presence", "people", "me", "runs", "tools"];

type Valued = "title" | "policy" | "me";

/** The parts of a session that views are read from. */
type Viewed<Shape, Fields, Metadata> = {
  readonly [Name in Valued]: SessionEvents[Name];
} & {
  readonly [Name in Exclude<View, Valued | "state" | "selections">]: {
    readonly all: SessionEvents<Shape, Fields, Metadata>[Name];
  };
} & { readonly state: { readonly value: Shape }; readonly selections: Selections };

export class Views<Shape, Fields, Metadata> {
  readonly #events: Events<SessionEvents<Shape, Fields, Metadata>>;
  readonly #of: Viewed<Shape, Fields, Metadata>;
  readonly #before: (view: View) => void;
  /** The last value that was emitted for each view. */
  readonly #shown = new Map<View, unknown>();

  /** `before` is called when a view may have changed, before its event. */
  constructor(
    events: Events<SessionEvents<Shape, Fields, Metadata>>,
    of: Viewed<Shape, Fields, Metadata>,
    before: (view: View) => void,
  ) {
    this.#events = events;
    this.#of = of;
    this.#before = before;
  }

  /** Returns the callbacks after a change of each root; they do nothing while the document isn't shown. */
  announcements(isShown: () => boolean): Record<string, () => void> {
    const announcements = Object.entries(OF_ROOT).map(([root, views]) => {
      const tell = (): void => {
        if (isShown()) for (const view of views) this.tell(view);
      };
      return [root, tell] as const;
    });
    return Object.fromEntries(announcements);
  }

  /** Emits a view if it has changed since it was emitted last. */
  tell(view: View): void {
    this.#before(view);
    const value = this.#read(view);
    const seen: unknown = view === "selections" ? this.#of.selections.json : value;
    if (this.#shown.has(view) && this.#shown.get(view) === seen) return;
    this.#shown.set(view, seen);
    this.#events.emit(view, value as never);
  }

  tellPresence(): void {
    for (const view of OF_PRESENCE) this.tell(view);
  }

  tellAll(): void {
    for (const views of Object.values(OF_ROOT)) for (const view of views) this.tell(view);
  }

  #read(view: View): unknown {
    switch (view) {
      case "state":
        return this.#of.state.value;
      case "selections":
      case "policy":
      case "title":
      case "me":
        return this.#of[view];
      default:
        return this.#of[view].all;
    }
  }
}
