/** The four message shapes: request, notification, response, error. */

import { executorKind, type ExecutorKind } from "./errors.js";
import { JsonError, member, parseJson, type Json, type JsonObject } from "./json.js";

/** A bigint keeps all 64 bits, and the integer `1n` is never the string `"1"`, in a `Map` neither. */
export type Id = bigint | string;

/** The `error` member of an answer. */
export interface RpcError {
  code: number;
  message: string;
  kind: ExecutorKind | undefined;
}

export type Message =
  | { shape: "request"; id: Id; method: string }
  | { shape: "notification"; method: string; params: Json | undefined }
  | { shape: "response"; id: Id; result: Json }
  | { shape: "error"; id: Id | null; error: RpcError };

/** A frame is not a message. The text holds no part of it. */
export class MalformedFrame extends Error {
  override readonly name = "MalformedFrame";
}

/** Reads one frame. Throws `MalformedFrame`. */
export function decodeMessage(frame: Uint8Array): Message {
  let value;
  try {
    value = parseJson(frame);
  } catch (error) {
    if (error instanceof JsonError) throw new MalformedFrame(error.message);
    throw error;
  }
  if (!(value instanceof Map)) throw new MalformedFrame("not a JSON object");
  return classify(value);
}

function classify(object: JsonObject): Message {
  if (object.has("method")) {
    const method = object.get("method");
    if (typeof method !== "string") throw new MalformedFrame("method is not a string");
    return object.has("id")
      ? { shape: "request", id: requireId(object), method }
      : { shape: "notification", method, params: object.get("params") };
  }
  // A null beside the other member is how some JSON-RPC libraries write that there is none.
  const result = object.get("result");
  const error = object.get("error") ?? undefined;
  if (result !== undefined && (error === undefined || result !== null)) {
    return { shape: "response", id: requireId(object), result };
  }
  if (error === undefined) throw new MalformedFrame("neither a request, a notification, a response nor an error");
  const id = object.get("id") === null ? null : requireId(object);
  return { shape: "error", id, error: readError(error) };
}

function requireId(object: JsonObject): Id {
  const id = object.get("id");
  if (typeof id === "string" || (typeof id === "bigint" && BigInt.asIntN(64, id) === id)) return id;
  throw new MalformedFrame("id is neither a string nor a 64-bit integer");
}

function readError(error: Json): RpcError {
  const code = member(error, "code");
  const message = member(error, "message");
  if (typeof code !== "bigint" || typeof message !== "string") {
    throw new MalformedFrame("error has no integer code and text message");
  }
  return { code: Number(code), message, kind: executorKind(member(member(error, "data"), "kind")) };
}

export function encodeRequest(id: Id, method: string, params: object): string {
  return `{"id":${encodeId(id)},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
}

export function encodeNotification(method: string, params: object): string {
  return JSON.stringify({ method, params });
}

export function encodeError(id: Id, code: number, message: string): string {
  return `{"id":${encodeId(id)},"error":${JSON.stringify({ code, message })}}`;
}

function encodeId(id: Id): string {
  return typeof id === "bigint" ? id.toString() : JSON.stringify(id);
}
