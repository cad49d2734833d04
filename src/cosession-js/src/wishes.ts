/** What a page asks for in requests; the server decides, and writes the fact where it is shown. */

import { editValue, type Vote } from "./approvals.ts";
import { InvalidValue } from "./errors.ts";
import type { Me } from "./grants.ts";
import { freshId } from "./ids.ts";
import { checkedText, type Json } from "./json.ts";
import { DOUBLE_TEXTING, type DoubleTexting } from "./policy.ts";
import { ask } from "./requests.ts";
import { Shown } from "./shown.ts";
import type { Path } from "./tree.ts";

export abstract class Wishes extends Shown {
  abstract readonly me: Me;

  /** Throws when nothing can be written any more. */
  protected abstract checkOpen(): void;

  /** Asks for a run to stop, with what it has asked of others, or for a prompt not to be answered at all. */
  cancel(run: string, reason = ""): void {
    this.#ask("cancel", [run], { reason: checkedText(reason, "The reason") });
  }

  /**
   * Tells a run something while it works, and returns the steer's id. The server then adds it to the run's `steers`, each
   * id once: with an `id` of one's own the same can be said again without being said twice.
   */
  steer(run: string, text: string, { id = freshId("steer") }: { id?: string } = {}): string {
    this.#ask("steer", [run, id], { text: checkedText(text, "The text of a steer") });
    return id;
  }

  /** Changes what an agent asks to approve, while it is open. */
  setValue(approval: string, path: Path, value: Json): void {
    this.checkOpen();
    editValue(this.doc.getMap("approvals"), approval, path, value, this.limits);
  }

  /** Votes on an approval: for the value that is shown there, or for another one. The last vote counts. */
  vote(approval: string, decision: Vote["decision"], value?: Json): void {
    if (decision !== "approved" && decision !== "rejected")
      throw new InvalidValue(`A vote is \`approved\` or \`rejected\`, not ${String(decision)}.`);
    const vote = value === undefined ? { decision } : { decision, value };
    this.#ask("vote", [approval], vote);
  }

  /** Asks for another way with prompts that come while an agent works. */
  setPolicy(doubleTexting: DoubleTexting): void {
    if (!DOUBLE_TEXTING.includes(doubleTexting))
      throw new InvalidValue(
        `A policy is one of ${DOUBLE_TEXTING.join(", ")}, not ${String(doubleTexting)}.`,
      );
    this.#ask("policy", [], { double_texting: doubleTexting });
  }

  #ask(kind: string, subject: readonly string[], value: Json): void {
    this.checkOpen();
    ask(this.doc.getMap("requests"), kind, subject, this.me.id, value, this.limits);
  }
}
