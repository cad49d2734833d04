/** The actions that a page requests; the server decides, and writes the resulting fact into the document. */

import { editValue, type Vote } from "./approvals.ts";
import { InvalidValue } from "./errors.ts";
import type { Me } from "./grants.ts";
import { freshId } from "./ids.ts";
import { checkedText, isObject, type Json } from "./json.ts";
import { DOUBLE_TEXTING, type DoubleTexting } from "./policy.ts";
import { type Request, type RequestKind, Requests } from "./requests.ts";
import { Shown } from "./shown.ts";
import type { Path } from "./tree.ts";

export abstract class Wishes extends Shown {
  abstract readonly me: Me;
  protected readonly requests = new Requests(this);

  /** Checks that the session is open; throws when it isn't. */
  protected abstract checkOpen(): void;

  /**
   * Requests that a run stops, with the work that it has delegated, or that a prompt is not answered at all. This and
   * the other requests throw `NotAllowed` when the granted capabilities don't include it; otherwise the server decides,
   * and the request's `outcome()` resolves.
   */
  cancel(run: string, reason = ""): Request {
    return this.#ask("cancel", [run], { reason: checkedText(reason, "The reason") });
  }

  /**
   * Sends a text to a run while it works. The server adds it to the run's `steers`, each id once: with a given `id` the
   * call can be repeated without a duplicate. The request has that id.
   */
  steer(run: string, text: string, { id = freshId("steer") }: { id?: string } = {}): Request {
    return this.#ask("steer", [run, id], { text: checkedText(text, "The text of a steer") }, id);
  }

  /** Changes the value of an approval, while it is open. */
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

  /** Requests another handling of prompts that arrive while an agent works. */
  setPolicy(doubleTexting: DoubleTexting): Request {
    if (!DOUBLE_TEXTING.includes(doubleTexting))
      throw new InvalidValue(
        `A policy is one of ${DOUBLE_TEXTING.join(", ")}, not ${String(doubleTexting)}.`,
      );
    return this.#ask("policy", [], { double_texting: doubleTexting });
  }

  /** Returns the current value of an approval if it can be edited: a vote is for that value. */
  #editable(id: string): Json | undefined {
    const value = this.approvals.find((approval) => approval.id === id)?.value;
    return isObject(value) || Array.isArray(value) ? value : undefined;
  }

  #ask(kind: RequestKind, subject: readonly string[], value: Json, id = subject[0] ?? kind): Request {
    this.checkOpen();
    return this.requests.ask(kind, subject, value, id);
  }
}
