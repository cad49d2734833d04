/** The credential: a token, or a function that gives a fresh one at each connection, and before the last one expires. */

export type Token = string | (() => string | Promise<string>);

export class Credential {
  /** Whether there can be a fresh token when this one has expired. */
  readonly isRenewable: boolean;
  /** What the function failed with last; null when it didn't. */
  failure: Error | null = null;
  readonly #token: Token | undefined;

  constructor(token?: Token) {
    this.#token = token;
    this.isRenewable = typeof token === "function";
  }

  /** The token, where it is known without asking for it. */
  get known(): string | undefined {
    return typeof this.#token === "string" ? this.#token : undefined;
  }

  /** A fresh token; fails when the function does. */
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
