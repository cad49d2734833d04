/** The credential: a token, or a function that returns a fresh one at each connection and before the last expires. */

export type Token = string | (() => string | Promise<string>);

export class Credential {
  /** Whether a fresh token can be had when this one has expired. */
  readonly isRenewable: boolean;
  /** The error of the function's last call; null when it succeeded. */
  failure: Error | null = null;
  readonly #token: Token | undefined;

  constructor(token?: Token) {
    this.#token = token;
    this.isRenewable = typeof token === "function";
  }

  /** The token, if it is known without a call of the function. */
  get known(): string | undefined {
    return typeof this.#token === "string" ? this.#token : undefined;
  }

  /** Returns a fresh token; rejects when the function fails. */
  async fresh(): Promise<string | undefined> {
    if (typeof this.#token !== "function") return this.#token;
    try {
      const token: unknown = await this.#token();
      if (typeof token !== "string" || token === "") throw new Error(`it gave ${typeof token}, not a text.`);
      this.failure = null;
      return token;
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      this.failure = new Error(`The function that gives the token failed: ${said}`, { cause: error });
      throw this.failure;
    }
  }
}
