/** Frames, ids, calls and the ends of a connection. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../client/client.js";
import { REPLY_BYTES } from "../client/limits.js";
import { base64, buffered, calling, connected, drained, fails, GET, HEAD, Peer, streaming, TERMINAL, waits } from "./peer.js";

test("the handshake names the client, and nothing carries a jsonrpc member", async () => {
  const { client, peer } = await connected();
  buffered(client, peer);
  assert.deepEqual(peer.sent.map((message) => message.method), ["initialize", "initialized", "http/request"]);
  assert.equal(typeof peer.sent[0]?.params["clientName"], "string");
  assert(peer.sent.every((message) => !("jsonrpc" in message)));
});

test("a handshake that is refused, cannot be read or is cut off fails and closes the connection", async () => {
  const steps: [(peer: Peer) => void, string][] = [
    [(peer) => peer.says({ id: peer.last.id, error: { code: -32600, message: "no" } }), "rpc"],
    [(peer) => peer.answers(peer.last, { sessionId: "" }), "malformed"],
    [(peer) => peer.answers(peer.last, "s"), "malformed"],
    [(peer) => peer.disconnects(), "disconnected"],
  ];
  for (const [step, kind] of steps) {
    const peer = new Peer();
    const connecting = Client.over(peer);
    step(peer);
    await assert.rejects(connecting, { kind });
    assert(peer.isClosed);
  }
});

test("a frame that is not a message ends the connection for all calls and streams", async () => {
  const frames = [
    "nonsense",
    "",
    " \t ",
    "[]",
    '[{"method":"x"}]',
    "7",
    "null",
    "{}",
    '{"id":1}',
    '{"id":1.5,"result":{}}',
    '{"id":true,"result":{}}',
    '{"id":9223372036854775808,"result":{}}',
    '{"result":{}}',
    '{"method":7}',
    '{"method":"x","id":null}',
    '{"id":2,"error":"x"}',
    '{"id":2,"error":{"code":"x","message":"x"}}',
    '{"method":"x"} {}',
    '\ufeff{"method":"x"}',
    '{"method":"x","method":"x"}',
    '{"method":"\\ud800"}',
    `{"method":"x","y":[${"0,".repeat(262_144)}0]}`,
    `{"method":"x","y":${"[".repeat(200_000)}${"]".repeat(200_000)}}`,
    `{"method":"x","y":${"9".repeat(1_000_000)}}`,
  ];
  for (const frame of frames) {
    const { client, peer } = await connected();
    const { call } = buffered(client, peer);
    const { body, sent } = await streaming(client, peer);
    peer.delta(sent, 1);
    peer.says(frame);
    peer.delta(sent, 2);
    await fails(call, "unknown-outcome");
    assert.deepEqual(await drained(body), ["<1>", "disconnected"], frame.slice(0, 40));
    assert(peer.isClosed);
  }
});

test("bytes that are not UTF-8 end the connection", async () => {
  const { client, peer } = await connected();
  const { call } = buffered(client, peer);
  peer.saysBytes([...Buffer.from('{"method":"'), 0xff, ...Buffer.from('"}')]);
  await fails(call, "unknown-outcome");
});

test("members in any order, unknown ones and any jsonrpc member are fine", async () => {
  const { client, peer } = await connected();
  const { call, sent } = buffered(client, peer);
  const result = '{"x":{"__proto__":{"status":1}},"bodyBase64":"aGk=","status":200,"headers":[{"y":1,"value":"b","name":"a"}]}';
  peer.says(`{"result":${result},"__proto__":{"id":99},"jsonrpc":7,"id":${sent.id}}`);
  const response = await call;
  assert.deepEqual([response.status, response.headers, response.body.toString()], [200, [{ name: "a", value: "b" }], "hi"]);
});

test("an error with id -1 or null ends the connection", async () => {
  for (const id of [-1, null]) {
    const { client, peer } = await connected();
    const { call } = buffered(client, peer);
    const { body } = await streaming(client, peer);
    peer.says({ id, error: { code: -32600, message: "malformed message" } });
    await fails(call, "unknown-outcome");
    assert.deepEqual(await drained(body), ["", "disconnected"]);
  }
});

test("requests of the executor are answered with -32601 and their exact id, notifications ignored", async () => {
  const { client, peer } = await connected();
  const { call, sent } = buffered(client, peer);
  for (const id of ["7", '"a\\u0000"', "9007199254740993", String(sent.id)]) {
    const replies: string[] = [];
    peer.send = (frame) => replies.push(frame);
    peer.says(`{"id":${id},"method":"constructor","params":[]}`);
    assert.match(replies.join(), /"code":-32601/);
    assert.equal(replies.join().startsWith(`{"id":${id},`), true, replies.join());
  }
  peer.says({ method: "$/progress" });
  peer.says({ method: "__proto__", params: null });
  await waits(call);
  peer.answers(sent);
  assert.equal((await call).status, 200);
});

test("an executor that does not read the answers to its requests loses the connection", async () => {
  const { client, peer } = await connected();
  peer.reads = false;
  const id = "x".repeat(REPLY_BYTES / 4);
  for (let count = 0; count < 4; count += 1) peer.says({ id, method: "ask" });
  assert.equal(peer.isClosed, false);
  peer.says({ id, method: "ask" });
  assert.match(await client.ended, /does not read/);
  assert(peer.isClosed);
});

test("answers are joined by id and its type alone, in any order, once", async () => {
  const { client, peer } = await connected();
  const first = buffered(client, peer);
  const second = buffered(client, peer);
  assert.notEqual(first.sent.id, second.sent.id);
  peer.says({ id: String(first.sent.id), result: { ...HEAD, status: 500 } });
  peer.says({ id: 4711, result: { ...HEAD, status: 500 } });
  peer.says({ id: 4711, error: { code: 1, message: "x" } });
  peer.says({ id: first.sent.params.requestId, result: { ...HEAD, status: 500 } });
  await waits(Promise.race([first.call, second.call]));
  peer.answers(second.sent, { ...HEAD, status: 202 });
  peer.answers(second.sent, { ...HEAD, status: 500 });
  peer.answers(first.sent, { ...HEAD, status: 201 });
  assert.deepEqual([(await first.call).status, (await second.call).status], [201, 202]);
});

test("an id with a fraction is not the integer", async () => {
  const { client, peer } = await connected();
  const { call, sent } = buffered(client, peer);
  peer.says(`{"id":${sent.id}.0,"result":${JSON.stringify(HEAD)}}`);
  await fails(call, "unknown-outcome");
});

test("a result that cannot be read fails its call and nothing else", async () => {
  const { client, peer } = await connected();
  const results = [
    null,
    [],
    {},
    { ...HEAD, status: undefined },
    { ...HEAD, status: 99 },
    { ...HEAD, status: 1000 },
    { ...HEAD, status: "200" },
    { ...HEAD, status: 200.5 },
    { ...HEAD, headers: undefined },
    { ...HEAD, headers: [["a", "b"]] },
    { ...HEAD, headers: [{ name: "a b", value: "" }] },
    { ...HEAD, headers: [{ name: "a", value: "b\r\nc: d" }] },
    { ...HEAD, headers: [{ name: "a", value: "", valueBase64: "!" }] },
    ...[undefined, null, 7, "aGk", "aGk=\n", "_-==", "aGl=", "a===", "aG k", "=aGk", "====", "aGk=aGk="].map((bodyBase64) => ({
      ...HEAD,
      bodyBase64,
    })),
  ];
  const other = buffered(client, peer);
  for (const result of results) {
    for (const { call, sent } of [calling(client, peer), buffered(client, peer)]) {
      peer.says(JSON.stringify({ id: sent.id, result }));
      await fails(call, "malformed");
    }
  }
  assert.deepEqual(client.usage(), { routes: 0, calls: 1, queuedBytes: 0 });
  peer.answers(other.sent, { ...HEAD, status: 999 });
  assert.equal((await other.call).status, 999);
});

test("an error answer reaches the caller with code, message and kind, and releases the route", async () => {
  const { client, peer } = await connected();
  for (const [data, kind] of [[{ kind: "dns" }, "dns"], [{ kind: "later" }, undefined], ["dns", undefined]] as const) {
    const { call, sent } = calling(client, peer);
    peer.delta(sent, 1);
    peer.says({ id: sent.id, error: { code: -32603, message: "no such host", data } });
    const error = await fails(call, "rpc");
    assert.deepEqual([error.code, error.executorKind], [-32603, kind]);
    assert.match(error.message, /no such host/);
    assert.deepEqual(client.usage(), { routes: 0, calls: 0, queuedBytes: 0 });
  }
});

test("a null beside the other member of an answer counts as missing", async () => {
  const { client, peer } = await connected();
  const failed = buffered(client, peer);
  peer.says({ id: failed.sent.id, result: null, error: { code: -32603, message: "no" } });
  await fails(failed.call, "rpc");
  const answered = buffered(client, peer);
  peer.says({ id: answered.sent.id, result: HEAD, error: null });
  assert.equal((await answered.call).status, 200);
});

test("an answer that speaks of a disconnect is no disconnect", async () => {
  const { client, peer } = await connected();
  const { call, sent } = calling(client, peer);
  peer.says({ id: sent.id, error: { code: -32000, message: "JSON-RPC transport closed" } });
  await fails(call, "rpc");
  const { body, sent: next } = await streaming(client, peer);
  peer.delta(next, 1, TERMINAL);
  assert.deepEqual(await drained(body), ["", "end"]);
});

test("header values that are not UTF-8 keep their bytes", async () => {
  const { client, peer } = await connected();
  const { call, sent } = buffered(client, peer);
  const headers = [{ name: "x-name", value: "caf\ufffd", valueBase64: "Y2Fm6Q==" }, { name: "x", value: "é", valueBase64: null }];
  peer.answers(sent, { ...HEAD, headers });
  const [odd, plain] = (await call).headers;
  assert.deepEqual(odd?.bytes, Buffer.from("caf\xe9", "latin1"));
  assert.deepEqual(plain, { name: "x", value: "é" });
});

test("a call that is given up before its response leaves nothing, and late frames are ignored", async () => {
  const { client, peer } = await connected();
  const giveUp = new AbortController();
  const call = client.stream(GET, { signal: giveUp.signal });
  const sent = peer.last;
  peer.delta(sent, 1);
  giveUp.abort();
  assert.deepEqual(client.usage(), { routes: 0, calls: 0, queuedBytes: 0 });
  await fails(call, "cancelled");
  peer.answers(sent);
  peer.delta(sent, 2);
  peer.delta(sent, "x");
  const { body, sent: next } = await streaming(client, peer);
  peer.delta(next, 1, { done: true });
  assert.deepEqual(await drained(body), ["<1>", "end"]);
  const count = peer.sent.length;
  await fails(client.stream(GET, { signal: AbortSignal.abort() }), "cancelled");
  assert.equal(peer.sent.length, count, "a call that was given up before is not sent");
});

test("a disconnect fails calls with an unknown outcome, and none is sent again", async () => {
  const { client, peer } = await connected();
  const calls = [calling(client, peer).call, buffered(client, peer).call];
  const count = peer.sent.length;
  peer.disconnects();
  for (const call of calls) assert.match((await fails(call, "unknown-outcome")).message, /connection closed.*unknown/);
  assert.equal(await client.ended, "connection closed by the executor");
  assert.equal(peer.sent.length, count);
  assert.deepEqual(client.usage(), { routes: 0, calls: 0, queuedBytes: 0 });
});

test("a call after the end of the connection fails at once and leaves nothing", async () => {
  const { client, peer } = await connected();
  peer.disconnects();
  const count = peer.sent.length;
  await fails(client.stream(GET), "disconnected");
  await fails(client.request(GET), "disconnected");
  assert.equal(peer.sent.length, count);
  assert.deepEqual(client.usage(), { routes: 0, calls: 0, queuedBytes: 0 });
});

test("the params say what the caller wants", async () => {
  const { client, peer } = await connected({ sessionId: "s", environmentInfo: { capabilities: { httpHeaderEnvVars: true } } });
  const headers = [{ name: "B", value: "é" }, { name: "a", value: "Bearer ", valueEnvVar: "TOKEN" }];
  calling(client, peer, { method: "put", url: "http://h/", headers, body: Buffer.from("hi"), timeoutMs: 7, redirect: "stop" });
  const { requestId, ...params } = peer.last.params;
  assert.equal(typeof requestId, "string");
  assert.deepEqual(params, {
    method: "put",
    url: "http://h/",
    headers,
    bodyBase64: "aGk=",
    timeoutMs: 7,
    redirectPolicy: "stop",
    streamResponse: true,
  });
  buffered(client, peer);
  const plain = peer.last.params;
  assert.deepEqual(plain, { requestId: plain.requestId, method: "GET", url: GET.url, headers: [], streamResponse: false });
});

test("valueEnvVar is not sent to an executor that has not announced it", async () => {
  const flags = [undefined, {}, { capabilities: {} }, { capabilities: { httpHeaderEnvVars: "true" } }, "x", { capabilities: [true] }];
  for (const environmentInfo of flags) {
    const { client, peer } = await connected({ sessionId: "s", environmentInfo });
    const request = { ...GET, headers: [{ name: "a", value: "", valueEnvVar: "TOKEN" }] };
    await fails(client.request(request), "request");
    await fails(client.stream(request), "request");
    assert.equal(peer.last.method, "initialized");
    assert.deepEqual(client.usage(), { routes: 0, calls: 0, queuedBytes: 0 });
  }
});

test("what cannot be sent is refused, and its text shows nothing of the request", async () => {
  const { client, peer } = await connected();
  const requests = [
    { ...GET, url: "http://h/secret\ud800" },
    { ...GET, headers: [{ name: "a", value: "secret\udc00" }] },
    { ...GET, timeoutMs: 0.5 },
    { ...GET, timeoutMs: -1 },
    { ...GET, timeoutMs: NaN },
    { ...GET, requestId: "secret".repeat(200) },
    { ...GET, body: Buffer.alloc(51 * 1024 * 1024) },
  ];
  for (const request of requests) {
    const error = await fails(client.stream(request), "request");
    assert.doesNotMatch(error.message, /secret/);
    assert.equal(peer.last.method, "initialized");
  }
});

test("every stream has an id of its own, whatever the caller asks for", async () => {
  const { client, peer } = await connected();
  const asked = ["a", "a", "", "", "__proto__", undefined, "a-1", "http"];
  const ids = asked.map((requestId) => {
    const { sent } = calling(client, peer, requestId === undefined ? GET : { ...GET, requestId });
    return sent.params.requestId;
  });
  assert.equal(new Set(ids).size, asked.length);
});

test("deltas of a buffered call change nothing", async () => {
  const { client, peer } = await connected();
  const { call, sent } = buffered(client, peer);
  peer.delta(sent, 1, { done: true });
  peer.delta(sent, 1, { deltaBase64: 7 });
  peer.answers(sent, { ...HEAD, bodyBase64: base64("whole") });
  assert.equal((await call).body.toString(), "whole");
});
