/** One connection as the protocol sees it: which call an answer belongs to, which stream a frame, and what else may come. */

import { DELTA_METHOD, deltaRequestId } from "./delta.js";
import { cancelled, ClientError } from "./errors.js";
import { REQUEST_METHOD } from "./http.js";
import type { Json } from "./json.js";
import { CALLS, MESSAGE_BYTES, OUTBOX_BYTES, REPLY_BYTES } from "./limits.js";
import {
  decodeMessage,
  encodeError,
  encodeNotification,
  encodeRequest,
  MalformedFrame,
  type Id,
  type Message,
  type RpcError,
} from "./message.js";
import { Routes, type Route } from "./routes.js";
import type { Transport } from "./transport.js";

const METHOD_NOT_FOUND = -32601;

/** The id of an error that answers a frame which the executor could not read. */
const MALFORMED_FRAME_ID = -1n;

/** A request to send. */
export interface Request {
  id: bigint;
  method: string;
  params: object;
  /** Where the frames of its stream go. */
  route?: Route | undefined;
  signal?: AbortSignal | undefined;
}

/** A request that waits for its answer. */
interface Call {
  method: string;
  settle(answer: Json | ClientError): void;
}

export class Session {
  readonly routes = new Routes();
  /** Settled with the reason when the connection has ended, by whichever side. */
  readonly ended: Promise<string>;
  readonly #transport: Transport;
  readonly #calls = new Map<Id, Call>();
  #lastId = 0n;
  #endReason: string | undefined;
  #tellEnd!: (reason: string) => void;
  #closed: Promise<void> = Promise.resolve();
  #requestBytes = 0;
  #replyBytes = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    transport.start({ frame: (bytes) => this.#handleFrame(bytes), end: (reason) => this.#end(reason) });
  }

  get calls(): number {
    return this.#calls.size;
  }

  /** Admits another call, and gives it a number that no other of this connection has: its id, and part of its `requestId`. */
  admit(): bigint {
    if (this.#endReason !== undefined) {
      throw new ClientError("disconnected", `${this.#endReason}; the request was not sent`);
    }
    if (this.#calls.size >= CALLS || this.routes.size >= CALLS) {
      throw new ClientError("limit", `${CALLS} calls are in flight on this connection`);
    }
    if (this.#requestBytes > OUTBOX_BYTES) {
      throw new ClientError("limit", `${OUTBOX_BYTES} bytes of requests wait for this connection`);
    }
    this.#lastId += 1n;
    return this.#lastId;
  }

  /** Sends the request of a call that was just admitted, and waits for its result. An abort forgets the call; the executor is
   * not told. A call that fails releases its route at that moment. */
  call({ id, method, params, route, signal }: Request): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw cancelled();
      const frame = encodeRequest(id, method, params);
      const bytes = Buffer.byteLength(frame);
      if (bytes > MESSAGE_BYTES) throw new ClientError("request", `request needs a message of ${bytes} bytes`);
      const settle = (answer: Json | ClientError) => {
        this.#calls.delete(id);
        signal?.removeEventListener("abort", abort);
        if (!(answer instanceof ClientError)) return resolve(answer);
        if (route !== undefined) this.routes.release(route);
        reject(answer);
      };
      const abort = () => settle(cancelled());
      signal?.addEventListener("abort", abort);
      this.#calls.set(id, { method, settle });
      this.#requestBytes += bytes;
      this.#transport.send(frame, () => (this.#requestBytes -= bytes));
    });
  }

  notify(method: string, params: object): void {
    this.#transport.send(encodeNotification(method, params), () => undefined);
  }

  close(): Promise<void> {
    this.#end("connection closed by this client");
    return this.#closed;
  }

  /** Ends the connection and all that waits for it, streams behind their waiting frames. The first reason stays. */
  #end(reason: string, isViolation = false): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#closed = this.#transport.close(isViolation);
    for (const call of this.#calls.values()) {
      const isUnknown = call.method === REQUEST_METHOD;
      const text = `${reason}; the outcome is unknown, as the request was sent and may have been carried out`;
      call.settle(isUnknown ? new ClientError("unknown-outcome", text) : new ClientError("disconnected", reason));
    }
    this.routes.disconnect(new ClientError("disconnected", `body cut off: ${reason}`));
    this.#tellEnd(reason);
  }

  #handleFrame(bytes: Uint8Array): void {
    if (this.#endReason !== undefined) return;
    let message;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      return this.#end(`executor sent a frame that is not a message: ${error.message}`, true);
    }
    this.#handleMessage(message);
  }

  #handleMessage(message: Message): void {
    switch (message.shape) {
      case "request":
        return this.#refuse(message.id);
      case "notification":
        return message.method === DELTA_METHOD ? this.#handleDelta(message.params) : undefined;
      case "response":
        return this.#calls.get(message.id)?.settle(message.result);
      case "error":
        if (message.id === null || message.id === MALFORMED_FRAME_ID) {
          return this.#end(`executor could not read a frame of this client: ${message.error.message}`);
        }
        return this.#calls.get(message.id)?.settle(rpcError(message.error));
    }
  }

  /** Whose it is, whether anybody wants it, its form: in this order. */
  #handleDelta(params: Json | undefined): void {
    const requestId = deltaRequestId(params);
    if (requestId === undefined) return this.#end("executor sent a body frame without a requestId", true);
    this.routes.deliver(requestId, params);
  }

  /** Answers a request of the executor. An executor that does not read its answers cannot make them pile up. */
  #refuse(id: Id): void {
    if (this.#replyBytes > REPLY_BYTES) return this.#end("executor does not read the answers to its requests");
    const frame = encodeError(id, METHOD_NOT_FOUND, "this client offers no methods");
    const bytes = Buffer.byteLength(frame);
    this.#replyBytes += bytes;
    this.#transport.send(frame, () => (this.#replyBytes -= bytes));
  }
}

function rpcError({ code, message, kind }: RpcError): ClientError {
  const text = kind === undefined ? `${message} (${code})` : `${message} (${code}, ${kind})`;
  return new ClientError("rpc", text, code, kind);
}
