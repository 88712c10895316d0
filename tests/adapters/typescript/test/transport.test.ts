/** Lines, pipes and websockets. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { WebSocketServer, type WebSocket } from "ws";

import { Client } from "../client/client.js";
import { MESSAGE_BYTES, QUEUE_FRAMES } from "../client/limits.js";
import { LineReader } from "../client/lines.js";
import { drained, fails, GET, HEAD, type Sent } from "./peer.js";

/** A websocket executor that makes the handshake and leaves the rest to the test. */
async function listen(t: TestContext): Promise<{ url: string; accepted: Promise<WebSocket>; server: WebSocketServer }> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => {
    server.clients.forEach((socket) => socket.terminate());
    server.close();
  });
  await once(server, "listening");
  const accepted = once(server, "connection").then(([socket]) => {
    const peer = socket as WebSocket;
    peer.once("message", (data) => {
      const { id } = JSON.parse(String(data)) as Sent;
      peer.send(JSON.stringify({ id, result: { sessionId: "s" } }));
    });
    return peer;
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, accepted, server };
}

function nextCall(peer: WebSocket): Promise<Sent> {
  return new Promise((resolve) => {
    peer.on("message", (data) => {
      const message = JSON.parse(String(data)) as Sent;
      if (message.method === "http/request") resolve(message);
    });
  });
}

/** A stream whose response has come, over a websocket. */
async function streaming(t: TestContext) {
  const { url, accepted } = await listen(t);
  const client = await Client.connect(url);
  t.after(() => client.close());
  const peer = await accepted;
  const called = nextCall(peer);
  const call = client.stream(GET);
  const sent = await called;
  peer.send(JSON.stringify({ id: sent.id, result: HEAD }));
  return { client, peer, sent, body: (await call).body };
}

function delta(sent: Sent, seq: number, members: object = {}): string {
  const params = { requestId: sent.params.requestId, seq, deltaBase64: "eA==", ...members };
  return JSON.stringify({ method: "http/request/bodyDelta", params });
}

test("lines are the same in any chunking", () => {
  const text = Buffer.from('{"a":1}\r\n\n  \t\r\n\r\n{}\né\ry\n\rz\nlast');
  for (let size = 1; size <= text.length; size += 1) {
    const reader = new LineReader(100);
    const lines: string[] = [];
    for (let start = 0; start < text.length; start += size) {
      for (const line of reader.read(text.subarray(start, start + size))) lines.push(line.toString());
    }
    assert.deepEqual(lines, ['{"a":1}', "{}", "é\ry", "\rz"], `chunks of ${size}`);
  }
});

test("the bound of a line counts its text, finished or not", () => {
  const read = (...chunks: string[]) => {
    const reader = new LineReader(4);
    return chunks.flatMap((chunk) => [...reader.read(Buffer.from(chunk))].map(String));
  };
  assert.deepEqual(read("1234\r\n", "12", "34\n"), ["1234", "1234"]);
  assert.throws(() => read("12345\n"), /4 bytes/);
  assert.throws(() => read("12345\r\n"), /4 bytes/);
  assert.throws(() => read("123", "456"), /4 bytes/);
});

test("websocket: the upgrade has no Origin and offers no extension", async (t) => {
  const { url, server } = await listen(t);
  const upgraded = once(server, "connection");
  const client = await Client.connect(url);
  t.after(() => client.close());
  const { headers } = (await upgraded)[1] as { headers: Record<string, string> };
  assert.equal(headers["origin"], undefined);
  assert.equal(headers["sec-websocket-extensions"], undefined);
});

test("websocket: text, binary and fragments with a ping between are the same; the pong repeats the payload", async (t) => {
  const { peer, sent, body } = await streaming(t);
  const pong = once(peer, "pong");
  peer.send(Buffer.from(delta(sent, 1)), { binary: true });
  const text = delta(sent, 2, { done: true });
  peer.send(text.slice(0, 10), { fin: false });
  peer.ping("are you there");
  peer.send(text.slice(10, 11), { fin: false });
  peer.send(text.slice(11), { fin: true });
  assert.deepEqual(await drained(body), ["xx", "end"]);
  assert.equal(String((await pong)[0]), "are you there");
});

test("websocket: a burst does not overrun a consumer that reads", async (t) => {
  const { peer, sent, body } = await streaming(t);
  const socket = (peer as unknown as { _socket: { cork(): void; uncork(): void } })._socket;
  socket.cork();
  for (let seq = 1; seq <= 10 * QUEUE_FRAMES; seq += 1) peer.send(delta(sent, seq));
  peer.send(delta(sent, 10 * QUEUE_FRAMES + 1, { deltaBase64: "", done: true }));
  socket.uncork();
  const [text, end] = await drained(body);
  assert.deepEqual([text.length, end], [10 * QUEUE_FRAMES, "end"]);
});

test("websocket: every way to end the connection ends its streams, behind what came", async (t) => {
  const ends: [string, (peer: WebSocket, raw: { write(bytes: Buffer): void; end(): void; resetAndDestroy(): void }) => void][] = [
    ["close frame", (peer) => peer.close(1001)],
    ["close frame, TCP stays open", (_, raw) => raw.write(Buffer.from([0x88, 0x02, 0x03, 0xe8]))],
    ["end of TCP", (_, raw) => raw.end()],
    ["half a frame", (_, raw) => (raw.write(Buffer.from([0x81, 0x05, 0x7b])), raw.end())],
    ["reserved bits", (_, raw) => raw.write(Buffer.from([0xf1, 0x00]))],
    ["text that is not UTF-8", (_, raw) => raw.write(Buffer.from([0x81, 0x01, 0xff]))],
    ["a message that is too long", (_, raw) => {
      const head = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
      head.writeBigUInt64BE(BigInt(MESSAGE_BYTES + 1), 2);
      raw.write(head);
    }],
    ["an empty message", (peer) => peer.send("")],
  ];
  for (const [name, end] of ends) {
    const { client, peer, sent, body } = await streaming(t);
    peer.send(delta(sent, 1));
    end(peer, (peer as unknown as { _socket: Parameters<typeof end>[1] })._socket);
    assert.deepEqual(await drained(body), ["x", "disconnected"], name);
    await fails(client.request(GET), "disconnected");
  }
  const { peer, sent, body } = await streaming(t);
  peer.send(delta(sent, 1));
  assert.equal(String(await body.read()), "x");
  (peer as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy();
  assert.deepEqual(await drained(body), ["", "disconnected"], "reset");
});

test("websocket: no executor, and one that refuses the upgrade", async (t) => {
  const { url, server } = await listen(t);
  server.options.verifyClient = () => false;
  await assert.rejects(Client.connect(url), { kind: "disconnected" });
  server.close();
  await assert.rejects(Client.connect(url), { kind: "disconnected" });
  await assert.rejects(Client.connect("http://[secret"), (error: Error) => !error.message.includes("secret"));
});

/** Starts an executor that makes the handshake, and answers a call with the lines that `says`, a program, puts into `out`. Then it exits,
 * unless `stays` is set. */
async function spawned(t: TestContext, says: string, stays = false): Promise<Client> {
  const script = String.raw`
    let text = "";
    const answer = (id, requestId) => {
      const response = JSON.stringify({ id, result: ${JSON.stringify(HEAD)} });
      const delta = (seq, members) => {
        const params = { requestId, seq, deltaBase64: "eA==", ...members };
        return JSON.stringify({ method: "http/request/bodyDelta", params });
      };
      let out = "";
      ${says}
      process.stdout.write(out, () => ${stays} || process.exit());
    };
    process.stdin.on("data", (data) => {
      text += data;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const { id, method, params } = JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
        if (method === "initialize") console.log(JSON.stringify({ id, result: { sessionId: process.env.SESSION } }));
        if (method === "http/request") answer(id, params.requestId);
      }
    });
    if (${stays}) setInterval(() => undefined, 1000);
  `;
  const client = await Client.spawn([process.execPath, "-e", script], { SESSION: "s" });
  t.after(() => client.close());
  return client;
}

test("stdio: CRLF and blank lines are fine, and bytes behind the last line end are no message", async (t) => {
  const client = await spawned(t, String.raw`out = "\n \t\n" + response + "\r\n\r\n" + delta(1) + "\n" + delta(2, { done: true });`);
  const { body } = await client.stream(GET);
  assert.deepEqual(await drained(body), ["x", "disconnected"]);
  await fails(client.request(GET), "disconnected");
});

test("stdio: a burst does not overrun a consumer that reads", async (t) => {
  const frames = 10 * QUEUE_FRAMES;
  const says = String.raw`
    out = response + "\n";
    for (let seq = 1; seq <= ${frames}; seq += 1) out += delta(seq) + "\n";
    out += delta(${frames + 1}, { deltaBase64: "", done: true }) + "\n";
  `;
  const { body } = await (await spawned(t, says)).stream(GET);
  const [text, end] = await drained(body);
  assert.deepEqual([text.length, end], [frames, "end"]);
});

test("stdio: a line that is too long ends the connection before it is finished", async (t) => {
  const client = await spawned(t, `out = "x".repeat(${MESSAGE_BYTES + 2});`, true);
  await fails(client.request(GET), "unknown-outcome");
  assert.match(await client.ended, /a line exceeds/);
});

test("stdio: bytes that are not UTF-8 end the connection", async (t) => {
  const client = await spawned(t, 'out = Buffer.from([0x7b, 0xff, 0x7d, 0x0a]);', true);
  await fails(client.request(GET), "unknown-outcome");
  assert.match(await client.ended, /UTF-8/);
});

test("stdio: closing ends an executor that does not end by itself", async (t) => {
  const client = await spawned(t, "out = response;", true);
  const call = fails(client.request(GET), "unknown-outcome");
  await client.close();
  await call;
});

test("stdio: a program that does not exist", async () => {
  await assert.rejects(Client.spawn(["./no-such-program"]), { kind: "disconnected" });
  await assert.rejects(Client.spawn([]), { kind: "request" });
});
