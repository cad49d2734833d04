/**
 * The content of a session's document as immutable snapshots, each the same object until it changes.
 *
 * After a refusal there is another document; all is read from the current one.
 */

import type * as Y from "yjs";
import { APPROVAL, type Approval, byAsked } from "./approvals.ts";
import type { Json } from "./json.ts";
import type { Limits } from "./limits.ts";
import { type Message, Messages } from "./messages.ts";
import { People, type Person } from "./people.ts";
import { type Policy, readPolicy } from "./policy.ts";
import type { PresenceList } from "./presence.ts";
import { AGENT, type Agent, byId, Directory, type Run, Runs } from "./runs.ts";
import { Snapshots } from "./snapshots.ts";

export abstract class Shown {
  abstract readonly doc: Y.Doc;
  abstract readonly presence: PresenceList;
  abstract readonly limits: Limits;

  protected readonly snapshots = new Snapshots();
  protected readonly written = new Messages(this, this.snapshots);
  readonly #runs = new Runs(() => this.doc.getMap("runs"), this.snapshots);
  readonly #agents = new Directory<Agent>(() => this.doc.getMap("agents"), this.snapshots, AGENT, byId);
  readonly #approvals = new Directory<Approval>(
    () => this.doc.getMap("approvals"),
    this.snapshots,
    APPROVAL,
    byAsked,
  );
  readonly #people = new People();

  get title(): string {
    const title = this.doc.getMap("meta").get("title");
    return typeof title === "string" ? title : "";
  }

  get messages(): readonly Message[] {
    return this.written.list();
  }

  /** Every run, oldest first. */
  get runs(): readonly Run[] {
    return this.#runs.list();
  }

  /** The runs that have not ended. */
  get activeRuns(): readonly Run[] {
    return this.#runs.active();
  }

  get agents(): readonly Agent[] {
    return this.#agents.list();
  }

  /** The server's records of the session's participants, by id; also of those who aren't connected now. */
  get participants(): Readonly<Record<string, Json>> {
    return this.snapshots.of(this.doc.getMap("participants")) as Readonly<Record<string, Json>>;
  }

  /** All people of the session, with their presence, devices and attention, and when absent ones were last seen. */
  get people(): readonly Person[] {
    return this.#people.list(this.participants, this.presence.all);
  }

  /** The approvals, oldest first. */
  get approvals(): readonly Approval[] {
    return this.#approvals.list();
  }

  /** The session's agents, and the handling of a prompt that arrives while an agent works. */
  get policy(): Policy {
    return readPolicy(this.snapshots.of(this.doc.getMap("meta").get("policy")));
  }

  /** Returns whether the process of a run is connected; if it is away longer than the lease grace, the run is lost. */
  isHeld(run: Run): boolean {
    return this.presence.all.some(
      ({ client, user }) => user.id === run.agent && (!run.client || client === run.client),
    );
  }
}
