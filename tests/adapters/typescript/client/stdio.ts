/** Frames over the pipes of an executor that is started as a child process. */

import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";

import { ClientError } from "./errors.js";
import { LineReader } from "./lines.js";
import { EXIT_MILLISECONDS, LAST_FRAMES_MILLISECONDS, MESSAGE_BYTES } from "./limits.js";
import { CLOSED_BY_EXECUTOR, type Transport, type TransportEvents } from "./transport.js";

/** Frames between two turns of the event loop; well below what may wait in a stream. */
const BATCH_FRAMES = 32;

type Executor = ChildProcessByStdio<Writable, Readable, null>;

/** Starts an executor. It inherits the environment, with `env` added, and standard error. */
export async function spawnExecutor(argv: string[], env: Record<string, string> = {}): Promise<Transport> {
  const [program, ...args] = argv;
  if (program === undefined) throw new ClientError("request", "no program to start");
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] });
  try {
    await once(child, "spawn");
  } catch (error) {
    throw new ClientError("disconnected", `no executor was started: ${(error as NodeJS.ErrnoException).code}`);
  }
  return new StdioTransport(child);
}

class StdioTransport implements Transport {
  readonly #child: Executor;
  readonly #exited: Promise<unknown>;
  #isClosing = false;

  constructor(child: Executor) {
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once("exit", resolve));
    child.on("error", () => undefined);
  }

  start(events: TransportEvents): void {
    let lastFrames: NodeJS.Timeout | undefined;
    let hasEnded = false;
    const end = (reason: string) => {
      clearTimeout(lastFrames);
      if (!hasEnded) events.end(reason);
      hasEnded = true;
    };
    // The executor may have sent answers before it stopped to listen.
    this.#child.stdin.on("error", (error: NodeJS.ErrnoException) => {
      if (!hasEnded) lastFrames ??= setTimeout(end, LAST_FRAMES_MILLISECONDS, `transport failed: ${error.code}`);
    });
    this.#read(events).then(end, (error: Error) => end(`transport failed: ${error.message}`));
  }

  send(frame: string, written: () => void): void {
    this.#child.stdin.write(`${frame}\n`, written);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#child.stdin.end();
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), EXIT_MILLISECONDS);
    await this.#exited;
    clearTimeout(kill);
  }

  /** Reads until the output ends, and says why. While the connection closes the output is read, but no longer looked at. */
  async #read(events: TransportEvents): Promise<string> {
    const lines = new LineReader(MESSAGE_BYTES);
    let frames = 0;
    for await (const bytes of this.#child.stdout as AsyncIterable<Buffer>) {
      if (this.#isClosing) continue;
      for (const line of lines.read(bytes)) {
        events.frame(line);
        frames += 1;
        if (frames % BATCH_FRAMES === 0) await turn();
      }
    }
    return CLOSED_BY_EXECUTOR;
  }
}
