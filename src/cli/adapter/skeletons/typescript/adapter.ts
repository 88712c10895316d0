/**
 * An adapter between the conformance suite and a client library: a line in, a call of the library, a line out.
 *
 * Fill in what is marked BLANK, from the top down. The rest of this file is the protocol, and is complete: it needs Node 20 and nothing else.
 * Whatever a blank throws is reported as the library's error; what `console.error` writes is shown with a case that fails.
 */

import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";

/** A part of this adapter that is not written yet. */
class Blank extends Error {}

/**
 * BLANK 1: who the library is. What it does not declare here is not judged. Features that work as soon as the blanks do:
 * "abandon" (an aborted `receive` loses nothing), "cancel" (a call ends with its signal), "buffered" (blank 4), "census"
 * (blank 8), "error-kinds" (blank 9).
 */
const HELLO = {
  control: 1,
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

interface Header {
  name: string;
  value: string;
  /** In requests, with the feature "header-env-vars". */
  valueEnvVar?: string;
}

/** What the application asks for. */
interface Request {
  method: string;
  url: string;
  headers: Header[];
  body: Buffer | undefined;
  timeoutMs?: number;
  /** Missing: what the library does by itself. */
  redirect?: "follow" | "stop";
  /** With the feature "caller-ids". */
  requestId?: string;
}

interface Head {
  status: number;
  headers: Header[];
}

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

/** BLANK 8: what the library holds for a connection, as far as it can tell. Only with the feature "census". */
function census(connection: Connection): { routes: number; calls?: number; queuedBytes?: number } {
  throw new Blank("blank 8: count what the library holds");
}

/** BLANK 9: which kind an error of the library is; "rpc" also has the executor's `code`. Only with the feature "error-kinds". */
function failureOf(error: unknown): { kind: string; message: string; code?: number } {
  return { kind: "other", message: error instanceof Error ? error.message : String(error) };
}

// From here on nothing is to be filled in.

const DATA_BYTES = 65_536;

type Command = { id: number } & (
  | { command: "hello" | "sync" | "bye" }
  | { command: "open"; conn: string; transport: "ws"; url: string }
  | { command: "open"; conn: string; transport: "stdio"; argv: string[]; env: Record<string, string> }
  | ({ command: "request"; conn: string; op: string; stream: boolean } & Bodies & Omit<Request, "body">)
  | ({ command: "read"; op: string } & Partial<Reading>)
  | { command: "drop"; op: string; foreign?: boolean }
  | { command: "drain" | "cancel"; op: string }
  | { command: "census" | "close"; conn: string }
);

interface Bodies {
  bodyBase64?: string;
  bodyFill?: { patternBase64: string; bytes: number };
}

/** How far to receive, and whether the first receive is given up where it waits. */
interface Reading {
  max: number;
  bytes?: number;
  abandon?: boolean;
}

/** A call and its stream. */
interface Op {
  name: string;
  body: Body | undefined;
  isAnswered: boolean;
  /** The application has let go: whatever the library still says, nobody listens. */
  isDropped: boolean;
  abort: AbortController;
  /** The call, and behind it the reads, one after the other. Never rejected. */
  work: Promise<void>;
}

const connections = new Map<string, Connection>();
const ops = new Map<string, Op>();
const closing = new Set<Promise<void>>();
let events = 0;

function write(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function reply(id: number, kind: string, members: object = {}): void {
  write({ id, reply: kind, ...members });
}

function tell(op: Op, event: string, members: object = {}): void {
  if (op.isDropped) return;
  events += 1;
  write({ n: events, event, op: op.name, ...members });
}

/** Carries out one command. What is thrown becomes its reply, so nothing is thrown behind a reply. */
async function execute(command: Command): Promise<void> {
  const { id } = command;
  switch (command.command) {
    case "hello":
      return reply(id, "hello", HELLO);
    case "open":
      return open(command);
    case "request": {
      const connection = find(connections, command.conn);
      const { op: name, stream } = command;
      const request = requestOf(command);
      const abort = new AbortController();
      const op: Op = { name, body: undefined, isAnswered: false, isDropped: false, abort, work: Promise.resolve() };
      ops.set(name, op);
      reply(id, "ok");
      op.work = call(op, connection, request, stream);
      return;
    }
    case "read":
      return startReading(id, command.op, { max: 1, ...command });
    case "drain":
      return startReading(id, command.op, { max: Infinity });
    case "drop": {
      if (command.foreign) return reply(id, "unsupported", { reason: "an object of JavaScript stays in its thread" });
      const op = find(ops, command.op);
      letGo(op);
      return reply(id, "ok");
    }
    case "cancel": {
      const op = find(ops, command.op);
      if (!op.isAnswered) letGo(op);
      return reply(id, "ok");
    }
    case "sync":
      // Reads are handed over in the turn of their command, drops and cancels are done in it.
      await turn();
      await Promise.allSettled(closing);
      return reply(id, "ok");
    case "census":
      return reply(id, "census", census(find(connections, command.conn)));
    case "close": {
      const closed = close(find(connections, command.conn));
      closing.add(closed);
      await closed.finally(() => closing.delete(closed));
      return reply(id, "ok");
    }
    case "bye":
      reply(id, "ok");
      return exit();
    default:
      return reply(id, "unsupported", { reason: "unknown command" });
  }
}

async function open(command: Command & { command: "open" }): Promise<void> {
  try {
    const opened = command.transport === "ws" ? openWebSocket(command.url) : openStdio(command.argv, command.env);
    connections.set(command.conn, await opened);
  } catch (error) {
    if (error instanceof Blank) throw error;
    return reply(command.id, "failed", failureOf(error));
  }
  reply(command.id, "opened");
}

async function call(op: Op, connection: Connection, request: Request, isStream: boolean): Promise<void> {
  const { signal } = op.abort;
  try {
    if (isStream) {
      const { status, headers, body } = await callStreamed(connection, request, signal);
      if (op.isDropped) return drop(body);
      op.body = body;
      op.isAnswered = true;
      tell(op, "response", { status, headers });
    } else {
      const { status, headers, body } = await callBuffered(connection, request, signal);
      op.isAnswered = true;
      tell(op, "response", { status, headers, ...bytesOf(body) });
    }
  } catch (error) {
    tell(op, "call-failed", failureOf(error));
  }
}

function letGo(op: Op): void {
  op.isDropped = true;
  op.abort.abort();
  if (op.body !== undefined) drop(op.body);
  op.body = undefined;
}

function startReading(id: number, name: string, reading: Reading): void {
  const op = find(ops, name);
  reply(id, "ok");
  op.work = op.work.then(() => read(op, reading));
}

/** Receives up to `max` chunks, and none behind `bytes` bytes. A call that failed or was dropped has nothing to receive. */
async function read(op: Op, { max, bytes = Infinity, abandon = false }: Reading): Promise<void> {
  try {
    for (let count = 0, left = bytes; count < max && left > 0 && op.body !== undefined; count += 1) {
      const chunk = await (abandon && count === 0 ? receiveAbandoned(op.body) : receive(op.body));
      if (chunk === undefined) return tell(op, "end");
      tell(op, "chunk", bytesOf(chunk));
      left -= chunk.length;
    }
  } catch (error) {
    tell(op, "stream-failed", failureOf(error));
  }
}

/** Starts a receive and aborts it as soon as it waits, which it does when the call returns; then receives again. */
async function receiveAbandoned(body: Body): Promise<Buffer | undefined> {
  const abandoned = new AbortController();
  const first = receive(body, abandoned.signal);
  abandoned.abort();
  try {
    return await first;
  } catch {
    // What the library says about its own end it says again.
    return receive(body);
  }
}

function requestOf({ method, url, headers, timeoutMs, redirect, requestId, bodyBase64, bodyFill }: Omit<Request, "body"> & Bodies): Request {
  const fill = bodyFill && Buffer.alloc(bodyFill.bytes, Buffer.from(bodyFill.patternBase64, "base64"));
  const body = fill ?? (bodyBase64 === undefined ? undefined : Buffer.from(bodyBase64, "base64"));
  return { method, url, headers, timeoutMs, redirect, requestId, body };
}

function bytesOf(bytes: Buffer): object {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { bytes: bytes.length, sha256, ...(bytes.length <= DATA_BYTES && { dataBase64: bytes.toString("base64") }) };
}

function find<T>(map: Map<string, T>, name: string): T {
  const found = map.get(name);
  if (found === undefined) throw new Error("no such conn or op");
  return found;
}

/** The connections and the executors that were started end with the process. */
function exit(): void {
  process.stdout.write("", () => process.exit(0));
}

function take(line: string): void {
  const command = JSON.parse(line) as Command;
  execute(command).catch((error: unknown) => {
    if (error instanceof Blank) return reply(command.id, "unsupported", { reason: error.message });
    console.error(error);
    reply(command.id, "error", { where: "adapter", message: String(error) });
  });
}

let rest = "";
for await (const text of process.stdin.setEncoding("utf8")) {
  rest += text;
  if (!text.includes("\n")) continue;
  const lines = rest.split("\n");
  rest = lines.pop() ?? "";
  lines.forEach(take);
}
exit();
