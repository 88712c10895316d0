/** The body of a streamed response. */

import { cancelled, ClientError } from "./errors.js";
import type { LengthCheck } from "./http.js";
import type { Item, Outcome, Route, Routes } from "./routes.js";

/** Arrives in pieces. A clean end means that the body is whole; otherwise the pieces that came are followed by an error.
 *
 * The end stays: every later `read` tells it again, and never returns bytes. Whoever does not read to the end calls `drop`.
 */
export class Body implements AsyncIterable<Buffer> {
  readonly #routes: Routes;
  readonly #route: Route;
  readonly #check: LengthCheck;
  /** The end as it was told; nothing is held any more then. */
  #outcome: Outcome | undefined;

  constructor(routes: Routes, route: Route, check: LengthCheck) {
    this.#routes = routes;
    this.#route = route;
    this.#check = check;
  }

  /** The next piece, never an empty one; `undefined` at the clean end. Throws `ClientError`.
   *
   * One read at a time. An abort of the signal gives up the read and nothing else: no byte is taken before it is returned.
   */
  read({ signal }: { signal?: AbortSignal } = {}): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#route.onReady !== undefined) throw new TypeError("another read of this body is not done");
      if (signal?.aborted) throw cancelled();
      const finish = () => {
        this.#route.onReady = undefined;
        signal?.removeEventListener("abort", abort);
      };
      const abort = () => {
        finish();
        reject(cancelled());
      };
      const settle = () => {
        const item = this.#take();
        if (item === undefined) return;
        finish();
        if ("chunk" in item) resolve(item.chunk);
        else if (item.end.error !== undefined) reject(item.end.error);
        else resolve(undefined);
      };
      this.#route.onReady = settle;
      signal?.addEventListener("abort", abort);
      settle();
    });
  }

  /** Lets go of the body and of all that waits for it, at once. A read that waits is given up. */
  drop(): void {
    this.#end({ error: cancelled() });
    this.#route.onReady?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) yield chunk;
    } finally {
      this.drop();
    }
  }

  #take(): Item | undefined {
    if (this.#outcome !== undefined) return { end: this.#outcome };
    const item = this.#routes.take(this.#route);
    if (item === undefined) return undefined;
    let error: ClientError | undefined;
    if ("chunk" in item) {
      error = this.#check.handleChunk(item.chunk.length);
      if (error === undefined) return item;
    } else {
      error = item.end.error ?? this.#check.handleEnd();
    }
    return { end: this.#end(error === undefined ? {} : { error }) };
  }

  /** The first end stays. */
  #end(outcome: Outcome): Outcome {
    if (this.#outcome === undefined) {
      this.#outcome = outcome;
      this.#routes.release(this.#route);
    }
    return this.#outcome;
  }
}
