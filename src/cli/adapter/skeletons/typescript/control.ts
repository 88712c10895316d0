/**
 * What the conformance suite and an adapter say to each other: a line in, a call of the library, a line out.
 *
 * Nothing is to be filled in here; `adapter.ts` has the calls of the library. It needs Node 20 and nothing else.
 */

import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";

/** The version of this protocol. */
export const CONTROL = 1;

/** Characters of the longest command. */
const LINE_CHARACTERS = 8 * 1024 * 1024;

/** The longest chunk whose bytes are told and not only their hash. */
const DATA_BYTES = 65_536;

/** A part of the adapter that is not written yet. */
export class Blank extends Error {}

export interface Header {
  name: string;
  value: string;
  /** In requests, with the feature "header-env-vars". */
  valueEnvVar?: string;
}

/** What the application asks for. */
export interface Request {
  method: string;
  url: string;
  headers: Header[];
  body?: Buffer;
  timeoutMs?: number;
  /** Missing: what the library does by itself. */
  redirect?: "follow" | "stop";
  /** With the feature "caller-ids". */
  requestId?: string;
}

export interface Head {
  status: number;
  headers: Header[];
}

/** What an error of the library is. */
export interface Failure {
  kind: string;
  message: string;
  code?: number;
}

/** The calls of a library. */
export interface Library<Connection, Body> {
  hello: { features: string[] };
  openWebSocket(url: string): Promise<Connection>;
  openStdio(argv: string[], env: Record<string, string>): Promise<Connection>;
  callStreamed(connection: Connection, request: Request, signal: AbortSignal): Promise<Head & { body: Body }>;
  callBuffered(connection: Connection, request: Request, signal: AbortSignal): Promise<Head & { body: Buffer }>;
  receive(body: Body, signal?: AbortSignal): Promise<Buffer | undefined>;
  drop(body: Body): void;
  close(connection: Connection): Promise<void>;
  closed(connection: Connection): Promise<void>;
  census(connection: Connection): object;
  failureOf(error: unknown): Failure;
}

type OpenCommand = { id: number; conn: string } & (
  | { transport: "ws"; url: string }
  | { transport: "stdio"; argv: string[]; env: Record<string, string> }
);

interface RequestCommand extends Omit<Request, "body"> {
  conn: string;
  op: string;
  stream: boolean;
  bodyBase64?: string;
  bodyFill?: { patternBase64: string; bytes: number };
}

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
interface Op<Body> {
  name: string;
  isStream: boolean;
  isAnswered: boolean;
  /** The application has let go: whatever the library still says, nobody listens. */
  isDropped: boolean;
  body: Body | undefined;
  abort: AbortController;
  /** The call, and behind it the reads, one after the other. Never rejected. */
  work: Promise<void>;
}

/** Carries out commands. All names of the suite live as long as the process. */
class Adapter<Connection, Body> {
  private readonly connections = new Map<string, Connection>();
  private readonly ops = new Map<string, Op<Body>>();
  private readonly closing = new Set<Promise<void>>();
  private events = 0;

  constructor(private readonly library: Library<Connection, Body>) {}

  take(line: string): void {
    const command = parse(line);
    if (command === undefined) return;
    this.execute(command).catch((error: unknown) => {
      if (error instanceof Blank) return reply(command.id, "unsupported", { reason: error.message });
      console.error(error);
      reply(command.id, "error", { where: "adapter", message: String(error) });
    });
  }

  /** Carries out one command. What is thrown becomes its reply, so nothing is thrown behind a reply. */
  private async execute(command: Command): Promise<void> {
    const { id } = command;
    switch (command.command) {
      case "hello":
        if (!command.control.includes(CONTROL)) throw new Error(`this adapter speaks control version ${CONTROL}`);
        return reply(id, "hello", this.library.hello);
      case "open":
        return this.open(command);
      case "request": {
        const connection = find(this.connections, command.conn);
        const { op: name, stream: isStream } = command;
        const state = { isStream, isAnswered: false, isDropped: false, body: undefined };
        const op: Op<Body> = { name, ...state, abort: new AbortController(), work: Promise.resolve() };
        this.ops.set(name, op);
        reply(id, "ok");
        op.work = this.call(op, connection, requestOf(command));
        return;
      }
      case "read":
        return this.startReading(id, find(this.ops, command.op), { max: 1, ...command });
      case "drain":
        return this.startReading(id, find(this.ops, command.op), { max: Infinity });
      case "drop": {
        if (command.foreign) return reply(id, "unsupported", { reason: "an object of JavaScript stays in its thread" });
        const op = find(this.ops, command.op);
        this.letGo(op);
        this.ops.delete(op.name);
        return reply(id, "ok");
      }
      case "cancel": {
        const op = find(this.ops, command.op);
        if (!op.isAnswered) this.letGo(op);
        return reply(id, "ok");
      }
      case "sync":
        // Reads are handed over in the turn of their command, drops and cancels are done in it.
        await turn();
        await Promise.allSettled(this.closing);
        return reply(id, "ok");
      case "census":
        return reply(id, "census", this.library.census(find(this.connections, command.conn)));
      case "close": {
        const closed = this.library.close(find(this.connections, command.conn));
        this.closing.add(closed);
        await closed.finally(() => this.closing.delete(closed));
        return reply(id, "ok");
      }
      case "bye":
        reply(id, "ok");
        return exit();
      default:
        return reply(id, "unsupported", { reason: "unknown command" });
    }
  }

  private async open(command: OpenCommand): Promise<void> {
    const { library } = this;
    let connection: Connection;
    try {
      connection = await (command.transport === "ws"
        ? library.openWebSocket(command.url)
        : library.openStdio(command.argv, command.env));
    } catch (error) {
      if (error instanceof Blank) throw error;
      return reply(command.id, "failed", library.failureOf(error));
    }
    this.connections.set(command.conn, connection);
    reply(command.id, "opened");
    if (library.hello.features.includes("close-events")) {
      void library.closed(connection).then(() => this.tell("closed", { conn: command.conn }));
    }
  }

  private async call(op: Op<Body>, connection: Connection, request: Request): Promise<void> {
    const { signal } = op.abort;
    try {
      if (op.isStream) {
        const { status, headers, body } = await this.library.callStreamed(connection, request, signal);
        if (op.isDropped) return this.library.drop(body);
        op.body = body;
        op.isAnswered = true;
        this.tellOf(op, "response", { status, headers });
      } else {
        const { status, headers, body } = await this.library.callBuffered(connection, request, signal);
        op.isAnswered = true;
        this.tellOf(op, "response", { status, headers, ...bytesOf(body) });
      }
    } catch (error) {
      this.tellOf(op, "call-failed", this.library.failureOf(error));
    }
  }

  private letGo(op: Op<Body>): void {
    op.isDropped = true;
    op.abort.abort();
    if (op.body !== undefined) this.library.drop(op.body);
    op.body = undefined;
  }

  private startReading(id: number, op: Op<Body>, reading: Reading): void {
    if (!op.isStream) throw new Error("this call has no stream");
    reply(id, "ok");
    op.work = op.work.then(() => this.read(op, reading));
  }

  /** Receives up to `max` chunks, and none behind `bytes` bytes. A call that failed or was dropped has nothing to receive. */
  private async read(op: Op<Body>, { max, bytes = Infinity, abandon = false }: Reading): Promise<void> {
    try {
      for (let count = 0, left = bytes; count < max && left > 0 && op.body !== undefined; count += 1) {
        const chunk = await (abandon && count === 0 ? this.receiveAbandoned(op.body) : this.library.receive(op.body));
        if (chunk === undefined) return this.tellOf(op, "end", {});
        this.tellOf(op, "chunk", bytesOf(chunk));
        left -= chunk.length;
      }
    } catch (error) {
      this.tellOf(op, "stream-failed", this.library.failureOf(error));
    }
  }

  /** Starts a receive and aborts it as soon as it waits, which it does when the call returns; then receives again. */
  private async receiveAbandoned(body: Body): Promise<Buffer | undefined> {
    const abandoned = new AbortController();
    const first = this.library.receive(body, abandoned.signal);
    abandoned.abort();
    try {
      return await first;
    } catch {
      // What the library says about its own end it says again.
      return this.library.receive(body);
    }
  }

  private tellOf(op: Op<Body>, event: string, members: object): void {
    if (!op.isDropped) this.tell(event, { op: op.name, ...members });
  }

  private tell(event: string, members: object): void {
    this.events += 1;
    write({ n: this.events, event, ...members });
  }
}

function write(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function reply(id: number, kind: string, members: object = {}): void {
  write({ id, reply: kind, ...members });
}

/** A line that is no JSON has no id to reply to. */
function parse(line: string): Command | undefined {
  try {
    return JSON.parse(line) as Command;
  } catch {
    console.error("a command is not JSON");
    return undefined;
  }
}

function requestOf({ bodyBase64, bodyFill, ...request }: RequestCommand): Request {
  const fill = bodyFill && Buffer.alloc(bodyFill.bytes, Buffer.from(bodyFill.patternBase64, "base64"));
  const body = fill ?? (bodyBase64 === undefined ? undefined : Buffer.from(bodyBase64, "base64"));
  return body === undefined ? request : { ...request, body };
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

/** Serves the suite with the calls of that library. */
export async function run<Connection, Body>(library: Library<Connection, Body>): Promise<void> {
  const adapter = new Adapter(library);
  let rest = "";
  for await (const text of process.stdin.setEncoding("utf8")) {
    rest += text;
    if (rest.length > LINE_CHARACTERS) throw new Error("a command is too long");
    if (!text.includes("\n")) continue;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) adapter.take(line);
  }
  exit();
}
