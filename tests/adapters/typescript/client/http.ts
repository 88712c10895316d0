/** Params and result of `http/request`. */

import { decodeBase64 } from "./base64.js";
import { ClientError } from "./errors.js";
import { member, type Json } from "./json.js";

export const REQUEST_METHOD = "http/request";

export interface RequestHeader {
  name: string;
  value: string;
  /** A variable of the executor's environment, whose content is appended to `value` there. */
  valueEnvVar?: string;
}

export interface HttpRequest {
  method: string;
  url: string;
  headers?: RequestHeader[];
  body?: Uint8Array;
  /** The time that the executor gives the exchange, body included. Missing: no deadline. */
  timeoutMs?: number;
  /** What the executor does with a redirect. Missing: it follows. */
  redirect?: "follow" | "stop";
  /** How the call's id on the wire begins. It goes on with a number, as an id is never used twice on a connection. */
  requestId?: string;
}

export interface ResponseHeader {
  name: string;
  value: string;
  /** The exact bytes, where they are not UTF-8. */
  bytes?: Buffer;
}

export interface ResponseHead {
  status: number;
  headers: ResponseHeader[];
}

/** The params as they stand on the wire. Throws `ClientError` of kind `request`. */
export function encodeParams(request: HttpRequest, requestId: string, isStream: boolean): object {
  const { method, url, headers = [], body, timeoutMs, redirect } = request;
  const texts = [method, url, requestId, ...headers.flatMap((header) => [header.name, header.value, header.valueEnvVar])];
  if (texts.some((text) => text?.isWellFormed() === false)) {
    throw new ClientError("request", "a text of the request has an unpaired surrogate");
  }
  if (timeoutMs !== undefined && !(Number.isSafeInteger(timeoutMs) && timeoutMs >= 0)) {
    throw new ClientError("request", "timeoutMs is not a whole number of milliseconds");
  }
  return {
    requestId,
    method,
    url,
    headers: headers.map(({ name, value, valueEnvVar }) => ({ name, value, valueEnvVar })),
    bodyBase64: body && Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64"),
    timeoutMs,
    redirectPolicy: redirect,
    streamResponse: isStream,
  };
}

/** Reads a result. Throws `ClientError` of kind `malformed`. */
export function decodeResult(result: Json): { head: ResponseHead; body: Buffer } {
  const status = member(result, "status");
  if (typeof status !== "bigint" || status < 100n || status > 999n) throw malformed("status is not 100 to 999");
  const headers = member(result, "headers");
  if (!Array.isArray(headers)) throw malformed("headers is not an array");
  const encoded = member(result, "bodyBase64");
  const body = typeof encoded === "string" ? decodeBase64(encoded) : undefined;
  if (body === undefined) throw malformed("bodyBase64 is not standard base64 with padding");
  return { head: { status: Number(status), headers: headers.map(decodeHeader) }, body };
}

const TOKEN = /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/;
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

function decodeHeader(header: Json): ResponseHeader {
  const name = member(header, "name");
  const value = member(header, "value");
  if (typeof name !== "string" || !TOKEN.test(name)) throw malformed("a header has no legal name");
  if (typeof value !== "string" || CONTROL.test(value)) throw malformed("a header has no legal value");
  const encoded = member(header, "valueBase64") ?? undefined;
  if (encoded === undefined) return { name, value };
  const bytes = typeof encoded === "string" ? decodeBase64(encoded) : undefined;
  if (bytes === undefined || CONTROL.test(bytes.toString("latin1"))) throw malformed("a header has no legal valueBase64");
  return { name, value, bytes };
}

function malformed(what: string): ClientError {
  return new ClientError("malformed", `unreadable result: ${what}`);
}

/** Counts a body against the length that its response head promises. */
export class LengthCheck {
  readonly #promised: number | undefined;
  #received = 0;

  constructor(method: string, head: ResponseHead) {
    this.#promised = promisedLength(method, head);
  }

  handleChunk(bytes: number): ClientError | undefined {
    this.#received += bytes;
    return this.#promised !== undefined && this.#received > this.#promised ? this.#wrong() : undefined;
  }

  handleEnd(): ClientError | undefined {
    return this.#promised !== undefined && this.#received !== this.#promised ? this.#wrong() : undefined;
  }

  #wrong(): ClientError {
    const text = `body of ${this.#received} bytes where Content-Length promises ${this.#promised}`;
    return new ClientError("truncated", text);
  }
}

/** Digits of the largest length, 2^64 - 1. */
const LENGTH_DIGITS = /^[0-9]{1,20}$/;

/** Nothing is promised without one plain Content-Length, beside a Transfer-Encoding, and where a response has no body. */
function promisedLength(method: string, { status, headers }: ResponseHead): number | undefined {
  if (method === "HEAD" || method === "CONNECT" || status < 200 || status === 204 || status === 304) return undefined;
  const named = (name: string) => headers.filter((header) => header.name.toLowerCase() === name);
  const [length, second] = named("content-length");
  if (length === undefined || second !== undefined || named("transfer-encoding").length > 0) return undefined;
  if (!LENGTH_DIGITS.test(length.value) || BigInt(length.value) >= 2n ** 64n) return undefined;
  return Number(length.value);
}
