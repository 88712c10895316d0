/** The adapter: a line in, a library call, a line out. */

import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";

import type { Body } from "./client/body.js";
import { Client } from "./client/client.js";
import { ClientError } from "./client/errors.js";
import type { HttpRequest, ResponseHead, ResponseHeader } from "./client/http.js";
import { DELTA_BYTES, QUEUE_BYTES, QUEUE_FRAMES } from "./client/limits.js";
import { LineReader } from "./client/lines.js";

const CONTROL_VERSION = 1;
const LINE_BYTES = 8 * 1024 * 1024;
/** The most bytes that an event shows, and the most characters of an error text. */
const SHOWN_BYTES = 65_536;

const DECLARATION = {
  control: CONTROL_VERSION,
  adapter: "exec-http-typescript-adapter 1",
  library: "exec-http-typescript 1.0.0",
  language: "typescript",
  transports: ["ws", "stdio"],
  features: "error-kinds census abandon cancel caller-ids header-env-vars redirect-policy close-events buffered".split(" "),
  limits: { queueFrames: QUEUE_FRAMES, queueBytes: QUEUE_BYTES, frameBytes: DELTA_BYTES },
};

/** The library's request and the suite's have most members in common. */
interface RequestCommand extends Omit<HttpRequest, "body"> {
  conn: string;
  op: string;
  stream: boolean;
  bodyBase64?: string;
  bodyFill?: { patternBase64: string; bytes: number };
}

type OpenCommand = { conn: string } & (
  | { transport: "ws"; url: string }
  | { transport: "stdio"; argv: string[]; env: Record<string, string> }
);

/** How far to receive, and whether the first receive is given up where it waits. */
interface Reading {
  max: number;
  bytes?: number;
  abandon?: boolean;
}

type Command = { id: number } & (
  | { command: "hello"; control: number[] }
  | ({ command: "open" } & OpenCommand)
  | ({ command: "request" } & RequestCommand)
  | ({ command: "read"; op: string } & Partial<Reading>)
  | { command: "drop"; op: string; foreign?: boolean }
  | { command: "drain" | "cancel"; op: string }
  | { command: "census" | "close"; conn: string }
  | { command: "sync" | "bye" }
);

/** A call and its stream. */
interface Op {
  name: string;
  isStream: boolean;
  body?: Body;
  /** Aborted by `drop` and `cancel`. */
  call: AbortController;
  /** The application has let go: whatever the library still says, nobody listens. */
  isDropped: boolean;
  /** The call, and behind it the reads, one after the other. Never rejected. */
  work: Promise<void>;
}

const clients = new Map<string, Client>();
const ops = new Map<string, Op>();
const closing = new Set<Promise<void>>();
let events = 0;

function write(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function reply(id: number, kind: string, members: object = {}): void {
  write({ id, reply: kind, ...members });
}

function emit(event: string, members: object): void {
  events += 1;
  write({ n: events, event, ...members });
}

function emitFor(op: Op, event: string, members: object = {}): void {
  if (!op.isDropped) emit(event, { op: op.name, ...members });
}

/** Carries out one command. What is thrown becomes its reply, so nothing is thrown behind a reply. */
async function execute(command: Command): Promise<void> {
  const { id } = command;
  switch (command.command) {
    case "hello":
      if (!command.control.includes(CONTROL_VERSION)) throw new Error(`this adapter speaks control version ${CONTROL_VERSION}`);
      return reply(id, "hello", DECLARATION);
    case "open":
      return open(id, command);
    case "request": {
      const client = find(clients, command.conn);
      const request = requestOf(command);
      const { op: name, stream: isStream } = command;
      const op: Op = { name, isStream, call: new AbortController(), isDropped: false, work: Promise.resolve() };
      ops.set(name, op);
      reply(id, "ok");
      op.work = call(client, op, request);
      return;
    }
    case "read":
      return startReading(id, find(ops, command.op), { max: 1, ...command });
    case "drain":
      return startReading(id, find(ops, command.op), { max: Infinity });
    case "drop": {
      if (command.foreign) return reply(id, "unsupported", { reason: "an object of JavaScript stays in its thread" });
      const op = find(ops, command.op);
      op.isDropped = true;
      op.call.abort();
      op.body?.drop();
      ops.delete(op.name);
      return reply(id, "ok");
    }
    case "cancel":
      find(ops, command.op).call.abort();
      return reply(id, "ok");
    case "sync":
      // Reads are handed over in the turn of their command, drops and cancels are done in it.
      await turn();
      await Promise.all(closing);
      return reply(id, "ok");
    case "census":
      return reply(id, "census", find(clients, command.conn).usage());
    case "close": {
      const closed = find(clients, command.conn).close();
      closing.add(closed);
      await closed;
      closing.delete(closed);
      return reply(id, "ok");
    }
    case "bye":
      reply(id, "ok");
      return exit();
    default:
      return reply(id, "unsupported", { reason: "unknown command" });
  }
}

async function open(id: number, command: OpenCommand): Promise<void> {
  let client: Client;
  try {
    client = await (command.transport === "ws" ? Client.connect(command.url) : Client.spawn(command.argv, command.env));
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return reply(id, "failed", failure(error));
  }
  clients.set(command.conn, client);
  reply(id, "opened");
  void client.ended.then(() => emit("closed", { conn: command.conn }));
}

async function call(client: Client, op: Op, request: HttpRequest): Promise<void> {
  const options = { signal: op.call.signal };
  try {
    if (op.isStream) {
      const { body, ...head } = await client.stream(request, options);
      op.body = body;
      emitFor(op, "response", shownHead(head));
    } else {
      const { body, ...head } = await client.request(request, options);
      emitFor(op, "response", { ...shownHead(head), ...shownBytes(body) });
    }
  } catch (error) {
    emitFor(op, "call-failed", failure(error));
  }
}

function startReading(id: number, op: Op, reading: Reading): void {
  if (!op.isStream) throw new Error("the call has no stream");
  reply(id, "ok");
  op.work = op.work.then(() => read(op, reading));
}

/** Receives up to `max` chunks, and none behind `bytes` bytes. A call that failed has nothing to receive. */
async function read(op: Op, { max, bytes = Infinity, abandon = false }: Reading): Promise<void> {
  try {
    for (let count = 0, left = bytes; count < max && left > 0 && op.body !== undefined; count += 1) {
      const chunk = await (abandon && count === 0 ? readAbandoned(op.body) : op.body.read());
      if (chunk === undefined) return emitFor(op, "end");
      emitFor(op, "chunk", shownBytes(chunk));
      left -= chunk.length;
    }
  } catch (error) {
    emitFor(op, "stream-failed", failure(error));
  }
}

/** Starts a read and aborts it as soon as it waits, which it does when the call returns; then reads again. */
async function readAbandoned(body: Body): Promise<Buffer | undefined> {
  const abandoned = new AbortController();
  const first = body.read({ signal: abandoned.signal });
  abandoned.abort();
  try {
    return await first;
  } catch (error) {
    if (error instanceof ClientError && error.kind === "cancelled") return body.read();
    throw error;
  }
}

function requestOf({ bodyBase64, bodyFill, ...request }: RequestCommand): HttpRequest {
  const fill = bodyFill && Buffer.alloc(bodyFill.bytes, Buffer.from(bodyFill.patternBase64, "base64"));
  const body = fill ?? (bodyBase64 === undefined ? undefined : Buffer.from(bodyBase64, "base64"));
  return body === undefined ? request : { ...request, body };
}

function shownBytes(bytes: Buffer): object {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { bytes: bytes.length, sha256, ...(bytes.length <= SHOWN_BYTES && { dataBase64: bytes.toString("base64") }) };
}

function shownHead({ status, headers }: ResponseHead): object {
  const shown = ({ name, value, bytes }: ResponseHeader) =>
    bytes === undefined ? { name, value } : { name, value, valueBase64: bytes.toString("base64") };
  return { status, headers: headers.map(shown) };
}

/** What the library says; `other` where this protocol has no word for it. */
function failure(error: unknown): object {
  if (!(error instanceof ClientError)) return { kind: "other", message: String(error) };
  const kind = error.kind === "request" ? "other" : error.kind;
  return { kind, message: error.message.slice(0, SHOWN_BYTES), ...(error.code !== undefined && { code: error.code }) };
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

/** A line that is no JSON has no id to reply to. */
function parse(line: Buffer): Command | undefined {
  try {
    return JSON.parse(line.toString()) as Command;
  } catch {
    console.error("a command is not JSON");
    return undefined;
  }
}

const lines = new LineReader(LINE_BYTES);
for await (const bytes of process.stdin as AsyncIterable<Buffer>) {
  for (const line of lines.read(bytes)) {
    const command = parse(line);
    if (command === undefined) continue;
    execute(command).catch((error: unknown) => {
      reply(command.id, "error", { where: "adapter", message: String(error) });
    });
  }
}
exit();
