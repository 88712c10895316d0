/** The adapter as the suite sees it: a process, lines in, lines out. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import { WebSocketServer } from "ws";

import { QUEUE_FRAMES } from "../client/limits.js";
import { base64, HEAD, type Sent } from "./peer.js";

const ADAPTER = fileURLToPath(new URL("../adapter.js", import.meta.url));
const DOCUMENT = fileURLToPath(new URL("../../../../../docs/adapter.md", import.meta.url));

type Line = Record<string, unknown>;

/** A started adapter. Every line that it writes is held against the document's rules for `id`, `n` and size. */
class Adapter {
  readonly lines: Line[] = [];
  readonly #process;
  readonly #exited;
  #events = 0;
  #id = 0;
  #wake = () => undefined as void;

  constructor(t: TestContext) {
    this.#process = spawn(process.execPath, [ADAPTER], { stdio: ["pipe", "pipe", "inherit"] });
    this.#exited = once(this.#process, "exit");
    t.after(() => this.#process.kill());
    createInterface({ input: this.#process.stdout }).on("line", (text) => {
      assert(Buffer.byteLength(text) <= 8 * 1024 * 1024);
      const line = JSON.parse(text) as Line;
      assert.equal("id" in line, "reply" in line);
      assert.equal("n" in line, "event" in line);
      if ("n" in line) assert.equal(line["n"], (this.#events += 1));
      this.lines.push(line);
      this.#wake();
    });
  }

  /** Sends a command as it is. */
  write(command: string): void {
    this.#process.stdin.write(`${command}\n`);
  }

  /** The reply to a command. */
  async does(command: string, members: object = {}): Promise<Line> {
    const id = (this.#id += 1);
    this.write(JSON.stringify({ id, command, ...members }));
    return this.sees((line) => line["id"] === id);
  }

  /** The event of a call. */
  tells(op: string, event: string): Promise<Line> {
    return this.sees((line) => line["op"] === op && line["event"] === event);
  }

  async sees(wanted: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const line = this.lines.find(wanted);
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  endInput(): void {
    this.#process.stdin.end();
  }

  async exitCode(): Promise<number> {
    return ((await this.#exited) as [number])[0];
  }
}

/** An executor that does what the path says: `/2` is a stream of two frames, `/open` one that has not ended, `/error` an error,
 * and `/hang` is not answered. */
async function listen(t: TestContext): Promise<{ url: string; calls: Sent[]; closeAll(): void }> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const calls: Sent[] = [];
  server.on("connection", (socket) => {
    const says = (message: object) => socket.send(JSON.stringify(message));
    socket.on("message", (data) => {
      const sent = JSON.parse(String(data)) as Sent;
      if (sent.method === "initialize") says({ id: sent.id, result: { sessionId: "s" } });
      if (sent.method !== "http/request") return;
      calls.push(sent);
      const { requestId, url, streamResponse } = sent.params;
      const path = new URL(String(url)).pathname.slice(1);
      if (path === "hang") return;
      if (path === "error") return says({ id: sent.id, error: { code: -32603, message: "no" } });
      says({ id: sent.id, result: { ...HEAD, bodyBase64: streamResponse ? "" : base64("x".repeat(70_000)) } });
      const frames = Number(path);
      for (let seq = 1; seq <= frames + 1; seq += 1) {
        const deltaBase64 = seq > frames ? "" : base64(frames === 1 ? "hi" : `<${seq}>`);
        says({ method: "http/request/bodyDelta", params: { requestId, seq, deltaBase64, done: seq > frames } });
      }
    });
  });
  const closeAll = () => server.clients.forEach((socket) => socket.terminate());
  t.after(() => {
    closeAll();
    server.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, calls, closeAll };
}

async function opened(t: TestContext) {
  const executor = await listen(t);
  const adapter = new Adapter(t);
  assert.deepEqual(await adapter.does("open", { conn: "c", transport: "ws", url: executor.url }), { id: 1, reply: "opened" });
  const request = (op: string, path: string, members: object = {}) => {
    const url = `http://origin.invalid/${path}`;
    return adapter.does("request", { conn: "c", op, stream: true, method: "GET", url, headers: [], ...members });
  };
  return { adapter, executor, request };
}

test("the exchange of the document, line by line", async (t) => {
  const { url } = await listen(t);
  const text = readFileSync(DOCUMENT, "utf8").split("```text\n")[1]?.split("```")[0];
  assert(text);
  const exchange = text.trim().split("\n").map((line) => ({ isCommand: line.startsWith(">"), text: line.slice(2) }));
  assert(exchange.length > 10);
  const adapter = new Adapter(t);
  let expected = 0;
  for (const line of exchange) {
    if (line.isCommand) {
      adapter.write(line.text.replace("ws://127.0.0.1:40001/", url).replace("http://origin.invalid/", "http://origin.invalid/1"));
      continue;
    }
    expected += 1;
    await adapter.sees(() => adapter.lines.length >= expected);
    const wanted = JSON.parse(line.text) as Line;
    const seen = adapter.lines[expected - 1];
    if (wanted["reply"] === "hello") assert.deepEqual(Object.keys(seen ?? {}), Object.keys(wanted));
    else assert.deepEqual(seen, wanted);
  }
  assert.equal(await adapter.exitCode(), 0);
  assert.equal(adapter.lines.length, expected);
});

test("it declares the same each time, only what the document knows, and does it all", async (t) => {
  const { adapter } = await opened(t);
  const { id: _, ...first } = await adapter.does("hello", { control: [1], suite: "x", extra: {} });
  const { id: __, ...second } = await adapter.does("hello", { control: [0, 1, 2], suite: "x" });
  assert.deepEqual(first, second);
  const document = readFileSync(DOCUMENT, "utf8");
  for (const word of [...(first["features"] as string[]), ...Object.keys(first["limits"] as object)]) {
    assert(document.includes(`\n| \`${word}\` |`), word);
  }
  assert.equal((await adapter.does("hello", { control: [2], suite: "x" }))["reply"], "error");
});

test("it never exits to say no", async (t) => {
  const { adapter, request } = await opened(t);
  for (const command of ["", "nonsense", "constructor", "__proto__"]) {
    assert.equal((await adapter.does(command))["reply"], "unsupported");
  }
  adapter.write("not JSON");
  adapter.write("");
  for (const [command, members] of Object.entries({
    read: { op: "none" },
    drain: { op: "none" },
    drop: { op: "none" },
    cancel: { op: "none" },
    census: { conn: "none" },
    close: { conn: "none" },
    request: { conn: "none", op: "o", stream: true, method: "GET", url: "", headers: [] },
  })) {
    const reply = await adapter.does(command, members);
    assert.deepEqual([reply["reply"], reply["where"], typeof reply["message"]], ["error", "adapter", "string"]);
  }
  const failed = await adapter.does("open", { conn: "d", transport: "ws", url: "ws://127.0.0.1:1/" });
  assert.deepEqual([failed["reply"], failed["kind"]], ["failed", "disconnected"]);
  await request("o", "hang");
  assert.equal((await adapter.does("drop", { op: "o", foreign: true }))["reply"], "unsupported");
});

test("it reads only when asked, and behind the end too", async (t) => {
  const { adapter, request } = await opened(t);
  await request("o", "3");
  await adapter.tells("o", "response");
  await adapter.does("sync");
  assert.equal(adapter.lines.some((line) => line["event"] === "chunk"), false);
  await adapter.does("read", { op: "o", max: 5, bytes: 4, abandon: true });
  await adapter.sees((line) => line["dataBase64"] === base64("<2>"));
  await adapter.does("sync");
  assert.equal(adapter.lines.filter((line) => line["event"] === "chunk").length, 2);
  await adapter.does("read", { op: "o", max: 5 });
  await adapter.tells("o", "end");
  await adapter.does("read", { op: "o", max: 5 });
  await adapter.does("sync");
  const events = adapter.lines.filter((line) => line["op"] === "o").map((line) => line["event"]);
  assert.deepEqual(events, ["response", "chunk", "chunk", "chunk", "end", "end"]);
});

test("a read that is abandoned while it waits receives again", async (t) => {
  const { adapter, executor, request } = await opened(t);
  await request("early", "hang");
  await adapter.does("drain", { op: "early" });
  await request("o", "open");
  await adapter.tells("o", "response");
  await adapter.does("read", { op: "o", abandon: true });
  await adapter.does("sync");
  executor.closeAll();
  assert.equal((await adapter.tells("o", "stream-failed"))["kind"], "disconnected");
  assert.equal((await adapter.tells("early", "call-failed"))["kind"], "unknown-outcome");
  await adapter.sees((line) => line["event"] === "closed" && line["conn"] === "c");
});

test("cancel and drop leave nothing, and nothing more is told", async (t) => {
  const { adapter, request } = await opened(t);
  await request("cancelled", "hang");
  await request("dropped", `${QUEUE_FRAMES}`);
  await adapter.tells("dropped", "response");
  await request("reading", "open");
  await adapter.tells("reading", "response");
  await adapter.does("read", { op: "reading" });
  await adapter.does("cancel", { op: "cancelled" });
  await adapter.does("drop", { op: "dropped" });
  await adapter.does("drop", { op: "reading" });
  await adapter.does("sync");
  const { id: _, ...census } = await adapter.does("census", { conn: "c" });
  assert.deepEqual(census, { reply: "census", routes: 0, calls: 0, queuedBytes: 0 });
  const told = adapter.lines.filter((line) => "event" in line).map((line) => [line["op"], line["event"], line["kind"]]);
  assert.deepEqual(told.sort(), [
    ["dropped", "response", undefined],
    ["reading", "response", undefined],
  ]);
});

test("a slow consumer is told so by the library", async (t) => {
  const { adapter, request } = await opened(t);
  await request("o", `${QUEUE_FRAMES + 1}`);
  await request("barrier", "error");
  assert.equal((await adapter.tells("barrier", "call-failed"))["code"], -32603);
  await adapter.does("drain", { op: "o" });
  assert.equal((await adapter.tells("o", "stream-failed"))["kind"], "overflow");
  assert.equal(adapter.lines.filter((line) => line["event"] === "chunk").length, QUEUE_FRAMES);
});

test("large bodies: a fill, a line of megabytes, and bytes that are hashed and not shown", async (t) => {
  const { adapter, executor, request } = await opened(t);
  await request("fill", "0", { stream: false, method: "POST", bodyFill: { patternBase64: base64("abc"), bytes: 10_000_000 } });
  const response = await adapter.tells("fill", "response");
  const sha256 = createHash("sha256").update("x".repeat(70_000)).digest("hex");
  assert.deepEqual([response["bytes"], response["sha256"], response["dataBase64"]], [70_000, sha256, undefined]);
  const body = Buffer.from(String(executor.calls[0]?.params["bodyBase64"]), "base64");
  assert.deepEqual([body.length, body.subarray(-4).toString()], [10_000_000, "abca"]);
  await request("line", "0", { stream: false, method: "POST", bodyBase64: base64("y".repeat(6_000_000)), requestId: "mine" });
  await adapter.tells("line", "response");
  assert.equal(String(executor.calls[1]?.params["bodyBase64"]).length, 8_000_000);
});

test("the end of its input ends it", async (t) => {
  const { adapter, request } = await opened(t);
  await request("o", "hang");
  adapter.endInput();
  assert.equal(await adapter.exitCode(), 0);
});
