/** One piece of a streamed body: the notification `http/request/bodyDelta`. */

import { decodeBase64, decodedBytes } from "./base64.js";
import { ClientError, executorKind, type ExecutorKind } from "./errors.js";
import { member, type Json } from "./json.js";
import { DELTA_BYTES } from "./limits.js";

export const DELTA_METHOD = "http/request/bodyDelta";

export interface Delta {
  seq: bigint;
  data: Buffer;
  done: boolean;
  /** Why the body is not whole; a frame with it is terminal, the empty text included. */
  error: string | undefined;
  errorKind: ExecutorKind | undefined;
}

/** The stream that a delta names, read before anything else of it is looked at. */
export function deltaRequestId(params: Json | undefined): string | undefined {
  const requestId = member(params, "requestId");
  return typeof requestId === "string" ? requestId : undefined;
}

/** Reads the rest, or tells what is wrong with it. A payload that is too long is not decoded. */
export function decodeDelta(params: Json | undefined): Delta | ClientError {
  const encoded = member(params, "deltaBase64");
  if (typeof encoded !== "string") return malformed("deltaBase64 is not text");
  if (decodedBytes(encoded) > DELTA_BYTES) return new ClientError("limit", `body frame exceeds ${DELTA_BYTES} bytes`);
  const data = decodeBase64(encoded);
  if (data === undefined) return malformed("deltaBase64 is not standard base64 with padding");
  const seq = member(params, "seq");
  if (typeof seq !== "bigint" || BigInt.asUintN(64, seq) !== seq) return malformed("seq is not an unsigned integer");
  const done = member(params, "done");
  if (done !== undefined && typeof done !== "boolean") return malformed("done is not a boolean");
  const error = member(params, "error") ?? undefined;
  if (error !== undefined && typeof error !== "string") return malformed("error is neither text nor null");
  return { seq, data, done: done ?? false, error, errorKind: executorKind(member(params, "errorKind")) };
}

function malformed(what: string): ClientError {
  return new ClientError("malformed", `unreadable body frame: ${what}`);
}
