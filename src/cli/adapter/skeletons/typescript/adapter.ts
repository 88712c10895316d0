/**
 * An adapter between the conformance suite and a client library: the calls of the library.
 *
 * Fill in what is marked BLANK, from the top down; `control.ts` does the rest. Whatever a blank throws is reported as the library's error;
 * what `console.error` writes is shown with a case that fails.
 */

import { Blank, CONTROL, run, type Failure, type Head, type Request } from "./control.js";

/**
 * BLANK 1: who the library is. What it does not declare here is not judged. Features that work as soon as the blanks do:
 * "abandon" (an aborted `receive` loses nothing), "cancel" (a call ends with its signal), "buffered" (blank 4), "close-events"
 * (blank 7), "census" (blank 8), "error-kinds" (blank 9).
 */
const hello = {
  control: CONTROL,
  adapter: "my-adapter 1",
  library: "my-library 0.0.0",
  language: "typescript",
  transports: ["ws", "stdio"],
  features: [] as string[],
  limits: {},
};

/** The library's connection and its body. */
type Connection = unknown;
type Body = unknown;

/** BLANK 2: connects, makes the handshake, and returns the library's connection. */
async function openWebSocket(url: string): Promise<Connection> {
  throw new Blank("blank 2: open a connection");
}

/** BLANK 2: lets the library start its executor, `argv` with `env` added to what it inherits; else as above. */
async function openStdio(argv: string[], env: Record<string, string>): Promise<Connection> {
  throw new Blank("blank 2: open a connection");
}

/** BLANK 3: makes a call whose body comes in pieces. */
async function callStreamed(connection: Connection, request: Request, signal: AbortSignal): Promise<Head & { body: Body }> {
  throw new Blank("blank 3: start a streamed call");
}

/** BLANK 4: makes a call whose response has its whole body. Only with the feature "buffered". */
async function callBuffered(connection: Connection, request: Request, signal: AbortSignal): Promise<Head & { body: Buffer }> {
  throw new Blank("blank 4: start a buffered call");
}

/** BLANK 5: receives the next chunk, or undefined at the clean end. Called again behind an end or an error. The signal gives it up. */
async function receive(body: Body, signal?: AbortSignal): Promise<Buffer | undefined> {
  throw new Blank("blank 5: receive a chunk");
}

/** BLANK 6: lets go of a body without reading on. */
function drop(body: Body): void {
  throw new Blank("blank 6: drop a body");
}

/** BLANK 7: closes a connection. */
async function close(connection: Connection): Promise<void> {
  throw new Blank("blank 7: close a connection");
}

/** BLANK 7: waits until a connection has ended, in whatever way. Only with the feature "close-events". */
async function closed(connection: Connection): Promise<void> {
  throw new Blank("blank 7: wait for the end of a connection");
}

/** BLANK 8: what the library holds for a connection, as far as it can tell. Only with the feature "census". */
function census(connection: Connection): { routes: number; calls?: number; queuedBytes?: number } {
  throw new Blank("blank 8: count what the library holds");
}

/** BLANK 9: which kind an error of the library is; "rpc" also has the executor's `code`. Only with the feature "error-kinds". */
function failureOf(error: unknown): Failure {
  return { kind: "other", message: error instanceof Error ? error.message : String(error) };
}

const calls = { openWebSocket, openStdio, callStreamed, callBuffered, receive, drop, close, closed, census, failureOf };
await run<Connection, Body>({ hello, ...calls });
