/** The streams of one connection: where a frame goes, and what waits for its consumer.
 *
 * A stream is open and expects a `seq`, or it has ended with an outcome. Frames are judged when they arrive; the outcome stands
 * behind the frames that wait, needs no place among them, and the first one is final.
 *
 * | state | event | next |
 * |---|---|---|
 * | open, expects n | frame n | open, expects n + 1; its bytes wait |
 * | open, expects n | terminal frame n | ended: complete or remote; its bytes wait |
 * | open | frame with another `seq`, malformed or too large | ended: that fault; its bytes are dropped |
 * | open | frame that finds its queue or the byte budget full | ended: overflow; its bytes are dropped |
 * | open | disconnect | ended: disconnected |
 * | open or ended | another stream needs the bytes that wait here | ended: overflow, nothing waits |
 * | ended | any frame | ended |
 */

import { decodeDelta, type Delta } from "./delta.js";
import { cancelled, ClientError } from "./errors.js";
import type { Json } from "./json.js";
import { FRAME_CHARGE_BYTES, QUEUE_BYTES, QUEUE_FRAMES } from "./limits.js";

/** How a stream ended: whole, if there is no error. */
export interface Outcome {
  error?: ClientError;
}

/** What a consumer gets: bytes, or how the stream ended. */
export type Item = { chunk: Buffer } | { end: Outcome };

/** One stream, from before its request is sent until its consumer has seen the end or let go of it. */
export class Route {
  /** Called when there may be something to take. */
  onReady: (() => void) | undefined;
  expectedSeq = 1n;
  outcome: Outcome | undefined;
  /** Arrived and not taken; none is empty. */
  frames: Buffer[] = [];
  /** What `frames` are charged together. */
  queuedBytes = 0;

  constructor(readonly requestId: string) {}

  /** Ends the stream behind its waiting frames, unless it has ended. */
  end(outcome: Outcome): void {
    this.outcome ??= outcome;
    this.onReady?.();
  }
}

export class Routes {
  readonly #routes = new Map<string, Route>();
  #queuedBytes = 0;

  get size(): number {
    return this.#routes.size;
  }

  /** What waits in all streams; a small frame counts as `FRAME_CHARGE_BYTES`. Never more than `QUEUE_BYTES`. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Adds a route. The id must be new on this connection. */
  open(requestId: string): Route {
    const route = new Route(requestId);
    this.#routes.set(requestId, route);
    return route;
  }

  /** Takes the params of a delta. A stream that is not open is none of its business, whatever else they hold. */
  deliver(requestId: string, params: Json | undefined): void {
    const route = this.#routes.get(requestId);
    if (route === undefined || route.outcome !== undefined) return;
    const delta = decodeDelta(params);
    if (delta instanceof ClientError) return route.end({ error: delta });
    if (delta.seq !== route.expectedSeq) {
      const text = `body frame ${delta.seq} came where ${route.expectedSeq} was due`;
      return route.end({ error: new ClientError("sequence", text) });
    }
    route.expectedSeq += 1n;
    let outcome = outcomeOf(delta);
    if (delta.data.length > 0) {
      const overflow = this.#makeRoom(route, delta.data, outcome !== undefined);
      if (overflow === undefined) this.#enqueue(route, delta.data);
      // A body that failed anyway keeps its own reason.
      else if (outcome?.error === undefined) outcome = { error: overflow };
    }
    if (outcome !== undefined) route.end(outcome);
    else route.onReady?.();
  }

  /** The next item, if there is one. The end stays: it can be taken again. */
  take(route: Route): Item | undefined {
    const chunk = route.frames.shift();
    if (chunk === undefined) return route.outcome && { end: route.outcome };
    route.queuedBytes -= charge(chunk);
    this.#queuedBytes -= charge(chunk);
    return { chunk };
  }

  /** Forgets a route and all that waits in it. What arrives for it later is ignored. */
  release(route: Route): void {
    if (this.#routes.get(route.requestId) !== route) return;
    this.#routes.delete(route.requestId);
    this.#abandon(route, cancelled());
  }

  /** Ends all streams behind their waiting frames. */
  disconnect(error: ClientError): void {
    for (const route of this.#routes.values()) route.end({ error });
  }

  #enqueue(route: Route, data: Buffer): void {
    route.frames.push(data);
    route.queuedBytes += charge(data);
    this.#queuedBytes += charge(data);
  }

  /** Judges both bounds. For bytes those streams pay that hold more than this one, the largest first; without any, or when all
   * of them would not be enough, this one ends and keeps what waits in it. */
  #makeRoom(route: Route, data: Buffer, isTerminal: boolean): ClientError | undefined {
    if (route.frames.length >= QUEUE_FRAMES && !isTerminal) return overflow(`${QUEUE_FRAMES} frames waited`);
    let missing = this.#queuedBytes + charge(data) - QUEUE_BYTES;
    if (missing <= 0) return undefined;
    const error = overflow(`${QUEUE_BYTES} bytes waited on the connection`);
    const payers = [...this.#routes.values()].filter((other) => other.queuedBytes > route.queuedBytes);
    if (payers.reduce((sum, payer) => sum + payer.queuedBytes, 0) < missing) return error;
    payers.sort((a, b) => b.queuedBytes - a.queuedBytes);
    for (const payer of payers) {
      if (missing <= 0) break;
      missing -= payer.queuedBytes;
      this.#abandon(payer, error);
    }
    return undefined;
  }

  /** Ends a stream before its waiting frames. This replaces an end that its consumer has not seen yet. Nobody has to be told:
   * where frames wait, no consumer does. */
  #abandon(route: Route, error: ClientError): void {
    this.#queuedBytes -= route.queuedBytes;
    route.queuedBytes = 0;
    route.frames = [];
    route.outcome = { error };
  }
}

/** The outcome that a frame brings, if it is terminal: with `error` it is, `done` or not. */
function outcomeOf({ done, error, errorKind }: Delta): Outcome | undefined {
  if (error === undefined) return done ? {} : undefined;
  const kind = errorKind === undefined ? "" : ` (${errorKind})`;
  return { error: new ClientError("remote", `executor ended the body: ${error}${kind}`, undefined, errorKind) };
}

function overflow(what: string): ClientError {
  return new ClientError("overflow", `body was not read: ${what}`);
}

/** What a waiting frame costs of the byte budget. */
function charge(frame: Buffer): number {
  return Math.max(frame.length, FRAME_CHARGE_BYTES);
}
