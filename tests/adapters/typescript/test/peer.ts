/** A scripted executor in the same process: a transport whose other end is the test. */

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";

import type { Body } from "../client/body.js";
import { Client, type BufferedResponse, type StreamedResponse } from "../client/client.js";
import { ClientError, type FailureKind } from "../client/errors.js";
import type { HttpRequest } from "../client/http.js";
import type { Transport, TransportEvents } from "../client/transport.js";

export interface Sent {
  id: number;
  method: string;
  params: { requestId: string; [name: string]: unknown };
  [name: string]: unknown;
}

export const GET: HttpRequest = { method: "GET", url: "http://origin.invalid/" };
export const HEAD = { status: 200, headers: [], bodyBase64: "" };
export const TERMINAL = { deltaBase64: "", done: true };

export class Peer implements Transport {
  readonly sent: Sent[] = [];
  isClosed = false;
  /** While it does not read, nothing that the client hands over counts as written. */
  reads = true;
  #events!: TransportEvents;

  start(events: TransportEvents): void {
    this.#events = events;
  }

  send(frame: string, written: () => void): void {
    this.sent.push(JSON.parse(frame) as Sent);
    if (this.reads) written();
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  get last(): Sent {
    const last = this.sent.at(-1);
    assert(last);
    return last;
  }

  /** Sends a message, or a text that is none. */
  says(message: object | string): void {
    this.#events.frame(Buffer.from(typeof message === "string" ? message : JSON.stringify(message)));
  }

  saysBytes(bytes: number[]): void {
    this.#events.frame(Buffer.from(bytes));
  }

  answers(to: Sent, result: unknown = HEAD): void {
    this.says({ id: to.id, result });
  }

  delta(to: Sent, seq: unknown, members: object = {}): void {
    const params = { requestId: to.params.requestId, seq, deltaBase64: base64(`<${seq}>`), ...members };
    this.says({ method: "http/request/bodyDelta", params });
  }

  disconnects(): void {
    this.#events.end("connection closed by the executor");
  }
}

/** A client behind its handshake. */
export async function connected(result: object = { sessionId: "s" }): Promise<{ client: Client; peer: Peer }> {
  const peer = new Peer();
  const connecting = Client.over(peer);
  peer.answers(peer.last, result);
  return { client: await connecting, peer };
}

/** A call whose request is with the peer. */
export function calling(client: Client, peer: Peer, request = GET): { call: Promise<StreamedResponse>; sent: Sent } {
  const call = client.stream(request);
  call.catch(() => undefined);
  return { call, sent: peer.last };
}

export function buffered(client: Client, peer: Peer, request = GET): { call: Promise<BufferedResponse>; sent: Sent } {
  const call = client.request(request);
  call.catch(() => undefined);
  return { call, sent: peer.last };
}

/** A stream whose response has come. */
export async function streaming(
  client: Client,
  peer: Peer,
  headers: object[] = [],
  request = GET,
  status = 200,
): Promise<{ body: Body; sent: Sent }> {
  const { call, sent } = calling(client, peer, request);
  peer.answers(sent, { ...HEAD, status, headers });
  return { body: (await call).body, sent };
}

/** What a body gives until its end: the bytes as text, and the kind of its error. The end is asked for twice. */
export async function drained(body: Body): Promise<[string, FailureKind | "end"]> {
  let text = "";
  for (;;) {
    const item = await received(body);
    if (typeof item === "string") {
      assert.equal(await received(body), item, "the end stays");
      return [text, item as FailureKind | "end"];
    }
    text += item.toString();
  }
}

async function received(body: Body): Promise<Buffer | string> {
  try {
    return (await body.read()) ?? "end";
  } catch (error) {
    assert(error instanceof ClientError);
    return error.kind;
  }
}

/** Asserts that a promise is rejected with a failure of this kind, and returns it. */
export async function fails(promise: Promise<unknown>, kind: FailureKind): Promise<ClientError> {
  const error: unknown = await promise.then(
    () => assert.fail(`no failure where ${kind} was due`),
    (reason: unknown) => reason,
  );
  assert(error instanceof ClientError, String(error));
  assert.equal(error.kind, kind, error.message);
  return error;
}

/** Asserts that a promise is not settled by anything that has happened so far. */
export async function waits(promise: Promise<unknown>): Promise<void> {
  const pending = Symbol("pending");
  assert.equal(await Promise.race([promise, turn(pending)]), pending);
}

export function base64(text: string | Buffer): string {
  return Buffer.from(text as string).toString("base64");
}
