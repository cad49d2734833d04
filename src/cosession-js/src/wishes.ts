/** What a page asks for in requests; the server decides, and writes the fact where it is shown. */

import { editValue, type Vote } from "./approvals.ts";
import { InvalidValue } from "./errors.ts";
import type { Me } from "./grants.ts";
import { freshId } from "./ids.ts";
import { checkedText, isObject, type Json } from "./json.ts";
import { DOUBLE_TEXTING, type DoubleTexting } from "./policy.ts";
import { type Request, Requests } from "./requests.ts";
import { Shown } from "./shown.ts";
import type { Path } from "./tree.ts";

export abstract class Wishes extends Shown {
  abstract readonly me: Me;
  protected readonly requests = new Requests(this);

  /** Throws when nothing can be written any more. */
  protected abstract checkOpen(): void;

  /**
   * Asks for a run to stop, with what it has asked of others, or for a prompt not to be answered at all. This and the
   * other requests throw `NotAllowed` when the capabilities that were granted don't include it; otherwise the server
   * decides, and the request's `outcome()` tells.
   */
  cancel(run: string, reason = ""): Request {
    return this.#ask("cancel", [run], { reason: checkedText(reason, "The reason") });
  }

  /**
   * Tells a run something while it works. The server adds it to the run's `steers`, each id once: with an `id` of one's
   * own the same can be said again without being said twice. The request has that id.
   */
  steer(run: string, text: string, { id = freshId("steer") }: { id?: string } = {}): Request {
    return this.#ask("steer", [run, id], { text: checkedText(text, "The text of a steer") }, id);
  }

  /** Changes what an agent asks to approve, while it is open. */
  setValue(approval: string, path: Path, value: Json): void {
    this.checkOpen();
    editValue(this.doc.getMap("approvals"), approval, path, value, this.limits);
  }

  /** Votes on an approval: for the value that is shown there, or for another one. The last vote counts. */
  vote(approval: string, decision: Vote["decision"], value?: Json): Request {
    if (decision !== "approved" && decision !== "rejected")
      throw new InvalidValue(`A vote is \`approved\` or \`rejected\`, not ${String(decision)}.`);
    const seen = value === undefined && decision === "approved" ? this.#editable(approval) : value;
    const vote = seen === undefined ? { decision } : { decision, value: seen };
    return this.#ask("vote", [approval], vote);
  }

  /** Asks for another way with prompts that come while an agent works. */
  setPolicy(doubleTexting: DoubleTexting): Request {
    if (!DOUBLE_TEXTING.includes(doubleTexting))
      throw new InvalidValue(
        `A policy is one of ${DOUBLE_TEXTING.join(", ")}, not ${String(doubleTexting)}.`,
      );
    return this.#ask("policy", [], { double_texting: doubleTexting });
  }

  /** The value of an approval as it is shown now, where it can be edited: a vote is for that one. */
  #editable(id: string): Json | undefined {
    const value = this.approvals.find((approval) => approval.id === id)?.value;
    return isObject(value) || Array.isArray(value) ? value : undefined;
  }

  #ask(kind: string, subject: readonly string[], value: Json, id = subject[0] ?? kind): Request {
    this.checkOpen();
    return this.requests.ask(kind, subject, value, id);
  }
}
