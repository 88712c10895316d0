/** Streams: what frames make of them, what waits, and who pays. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Client } from "../client/client.js";
import { DELTA_BYTES, QUEUE_BYTES, QUEUE_FRAMES } from "../client/limits.js";
import { base64, calling, connected, drained, fails, GET, HEAD, streaming, TERMINAL, waits, type Peer, type Sent } from "./peer.js";

const NOTHING = { routes: 0, calls: 0, queuedBytes: 0 };
const MEGABYTE = base64(Buffer.alloc(DELTA_BYTES));

function fill(peer: Peer, to: Sent, frames: number, members: object = {}): void {
  for (let seq = 1; seq <= frames; seq += 1) peer.delta(to, seq, members);
}

/** Asserts that a stream is as good as ever: nothing that befell another one has reached it. */
async function works(client: Client, peer: Peer): Promise<void> {
  const { body, sent } = await streaming(client, peer);
  peer.delta(sent, 1, { done: true });
  assert.deepEqual(await drained(body), ["<1>", "end"]);
}

test("frames before the response, empty ones, and null or missing members", async () => {
  const { client, peer } = await connected();
  const { call, sent } = calling(client, peer);
  peer.delta(sent, 1, { error: null, done: false, extra: [] });
  peer.delta(sent, 2, { deltaBase64: "" });
  peer.answers(sent, { ...HEAD, bodyBase64: base64("not part of the body") });
  const { body } = await call;
  peer.delta(sent, 3);
  peer.delta(sent, 4, { done: true, error: null });
  assert.deepEqual(await drained(body), ["<1><3><4>", "end"]);
  assert.deepEqual(client.usage(), NOTHING);
});

test("all frames before the response", async () => {
  const { client, peer } = await connected();
  const { call, sent } = calling(client, peer);
  peer.delta(sent, 1);
  peer.delta(sent, 2, TERMINAL);
  peer.delta(sent, 3);
  peer.answers(sent);
  assert.deepEqual(await drained((await call).body), ["<1>", "end"]);
});

test("an error is terminal with and without done, the empty text included, behind the bytes beside it", async () => {
  const { client, peer } = await connected();
  for (const members of [{ error: "broke" }, { error: "", done: true }, { error: "broke", done: false, errorKind: "reset" }]) {
    const { body, sent } = await streaming(client, peer);
    peer.delta(sent, 1, members);
    peer.delta(sent, 2, { done: true });
    assert.deepEqual(await drained(body), ["<1>", "remote"]);
    const error = await fails(body.read(), "remote");
    assert.match(error.message, new RegExp(members.error));
    assert.equal(error.executorKind, members.errorKind);
  }
  const { body, sent } = await streaming(client, peer);
  peer.delta(sent, 1, { error: "x", errorKind: "of a later revision" });
  assert.equal((await drained(body))[1], "remote");
  assert.deepEqual(client.usage(), NOTHING);
});

test("frames behind the terminal one are ignored, also malformed ones", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  peer.delta(sent, 1, { done: true });
  peer.delta(sent, 1, { done: true });
  peer.delta(sent, 2, { error: "late" });
  peer.delta(sent, 2, { deltaBase64: 7 });
  peer.disconnects();
  assert.deepEqual(await drained(body), ["<1>", "end"]);
});

test("a gap, a repeat and a wrong first seq end the stream behind the good frames", async () => {
  const { client, peer } = await connected();
  for (const seqs of [[1, 3, 2, 3], [1, 1, 2], [0, 1], [2, 1], [1, 2, 4]]) {
    const { body, sent } = await streaming(client, peer);
    seqs.forEach((seq) => peer.delta(sent, seq, { done: seq === 3 }));
    const good = seqs.findIndex((seq, index) => seq !== index + 1);
    const text = seqs.slice(0, good).map((seq) => `<${seq}>`).join("");
    assert.deepEqual(await drained(body), [text, "sequence"], seqs.join());
  }
  await works(client, peer);
});

test("a seq that no JavaScript number can hold is compared exactly", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  const head = `{"method":"http/request/bodyDelta","params":{"requestId":${JSON.stringify(sent.params.requestId)},"deltaBase64":"","seq":`;
  peer.says(`${head}18446744073709551615}}`);
  const error = await fails(body.read(), "sequence");
  assert.match(error.message, /18446744073709551615/);
});

test("a malformed delta ends the stream that it names, behind the good frames, and nothing else", async () => {
  const { client, peer } = await connected();
  const faults = [
    ...[undefined, null, -1, 1.5, "2", [], true].map((seq) => ({ seq })),
    ...[undefined, null, 7, "aGk", "aGk=\n", "_-==", "aGl=", "a", "!!!!", "aGk=aGk=", "aG=k"].map((deltaBase64) => ({ deltaBase64 })),
    ...[null, 1, "true"].map((done) => ({ done })),
    ...[7, false, {}].map((error) => ({ error })),
  ];
  const bystander = await streaming(client, peer);
  for (const fault of faults) {
    const { body, sent } = await streaming(client, peer);
    peer.delta(sent, 1);
    peer.delta(sent, 2, fault);
    peer.delta(sent, 2);
    assert.deepEqual(await drained(body), ["<1>", "malformed"], JSON.stringify(fault));
  }
  for (const number of ["2.0", "2e0", "18446744073709551616", "1".repeat(500)]) {
    const { body, sent } = await streaming(client, peer);
    const requestId = JSON.stringify(sent.params.requestId);
    peer.says(`{"method":"http/request/bodyDelta","params":{"requestId":${requestId},"deltaBase64":"","seq":${number}}}`);
    assert.deepEqual(await drained(body), ["", "malformed"], number);
  }
  peer.delta(bystander.sent, 1, { done: true });
  assert.deepEqual(await drained(bystander.body), ["<1>", "end"]);
  assert.deepEqual(client.usage(), NOTHING);
});

test("deltas for ids without a stream are ignored, whatever else they hold", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  for (const requestId of ["", "unknown", "__proto__", "constructor", `${sent.params.requestId} `]) {
    for (const rest of [{ seq: 1, deltaBase64: "aGk=" }, { seq: "x", deltaBase64: "!" }, {}]) {
      peer.says({ method: "http/request/bodyDelta", params: { requestId, ...rest } });
    }
  }
  peer.delta(sent, 1, { done: true });
  assert.deepEqual(await drained(body), ["<1>", "end"]);
});

test("a delta that names no stream at all ends the connection", async () => {
  for (const params of [undefined, null, [], "x", {}, { requestId: 7 }, { requestId: null, seq: 1, deltaBase64: "" }]) {
    const { client, peer } = await connected();
    const { body } = await streaming(client, peer);
    peer.says({ method: "http/request/bodyDelta", params });
    assert.deepEqual(await drained(body), ["", "disconnected"]);
    assert(peer.isClosed);
  }
});

test("a delta of exactly 1 MiB is taken, one byte more ends that stream", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  peer.delta(sent, 1, { deltaBase64: MEGABYTE });
  assert.equal((await body.read())?.length, DELTA_BYTES);
  for (const [seq, bytes] of [[2, 1], [2, 3], [2, 8 * DELTA_BYTES]] as const) {
    peer.delta(sent, seq, { deltaBase64: base64(Buffer.alloc(DELTA_BYTES + bytes)) });
    await fails(body.read(), "limit");
  }
  await works(client, peer);
});

test("streams that alternate do not mix", async () => {
  const { client, peer } = await connected();
  const one = await streaming(client, peer);
  const two = await streaming(client, peer);
  peer.delta(one.sent, 1, { deltaBase64: base64("a") });
  peer.delta(two.sent, 1, { deltaBase64: base64("x") });
  peer.delta(two.sent, 2, { deltaBase64: base64("y"), done: true });
  peer.delta(one.sent, 2, { deltaBase64: base64("b"), done: true });
  assert.deepEqual([await drained(one.body), await drained(two.body)], [["ab", "end"], ["xy", "end"]]);
});

test("the length of the body is checked against the head", async () => {
  const length = (value: string) => [{ name: "Content-Length", value }];
  const cases: [object[], string, number, string][] = [
    [length("3"), "GET", 200, "end"],
    [length("4"), "GET", 200, "truncated"],
    [length("2"), "GET", 200, "truncated"],
    [length("18446744073709551615"), "GET", 200, "truncated"],
    [length("4"), "HEAD", 200, "end"],
    [length("4"), "CONNECT", 200, "end"],
    ...[101, 204, 304].map((status): [object[], string, number, string] => [length("4"), "GET", status, "end"]),
    ...["", "+4", "-4", "4, 4", "4.0", " 4", "0x4", "18446744073709551616"].map(
      (value): [object[], string, number, string] => [length(value), "GET", 200, "end"],
    ),
    [[...length("4"), ...length("4")], "GET", 200, "end"],
    [[...length("4"), { name: "transfer-encoding", value: "chunked" }], "GET", 200, "end"],
  ];
  const { client, peer } = await connected();
  for (const [headers, method, status, end] of cases) {
    const { body, sent } = await streaming(client, peer, headers, { ...GET, method }, status);
    peer.delta(sent, 1, { done: true });
    const text = headers[0] && "value" in headers[0] && headers[0].value === "2" ? "" : "<1>";
    assert.deepEqual(await drained(body), [text, end], JSON.stringify([headers, method, status]));
  }
  assert.deepEqual(client.usage(), NOTHING);
});

test("256 waiting frames and a terminal frame with bytes are a whole body", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  fill(peer, sent, QUEUE_FRAMES);
  peer.delta(sent, QUEUE_FRAMES + 1, { deltaBase64: "" });
  peer.delta(sent, QUEUE_FRAMES + 2, { done: true });
  const [text, end] = await drained(body);
  assert.equal(end, "end");
  assert(text.endsWith(`<${QUEUE_FRAMES}><${QUEUE_FRAMES + 2}>`));
});

test("one waiting frame more ends that stream, behind those that waited", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  fill(peer, sent, QUEUE_FRAMES + 1);
  peer.delta(sent, QUEUE_FRAMES + 2, { done: true });
  const [text, end] = await drained(body);
  assert.equal(end, "overflow");
  assert(text.endsWith(`<${QUEUE_FRAMES}>`));
  await works(client, peer);
});

test("a consumer that waits makes room for one frame more", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  const first = body.read();
  fill(peer, sent, QUEUE_FRAMES + 1);
  peer.delta(sent, QUEUE_FRAMES + 2, TERMINAL);
  assert.equal((await first)?.toString(), "<1>");
  assert.equal((await drained(body))[1], "end");
});

test("the bytes that wait are bounded, and the stream that holds most of them pays", async () => {
  const { client, peer } = await connected();
  const hoarder = await streaming(client, peer);
  const small = await streaming(client, peer);
  peer.delta(small.sent, 1);
  fill(peer, hoarder.sent, QUEUE_BYTES / DELTA_BYTES - 1, { deltaBase64: MEGABYTE });
  const reader = await streaming(client, peer);
  peer.delta(reader.sent, 1, { deltaBase64: MEGABYTE });
  assert(client.usage().queuedBytes <= QUEUE_BYTES);
  peer.delta(reader.sent, 2, { done: true });
  peer.delta(small.sent, 2, { done: true });
  assert.deepEqual(await drained(hoarder.body), ["", "overflow"]);
  assert.equal((await reader.body.read())?.length, DELTA_BYTES);
  assert.deepEqual(await drained(reader.body), ["<2>", "end"]);
  assert.deepEqual(await drained(small.body), ["<1><2>", "end"]);
  assert.deepEqual(client.usage(), NOTHING);
});

test("a stream that holds most of the bytes itself ends behind them; drops and reads return its share", async () => {
  const { client, peer } = await connected();
  const one = await streaming(client, peer);
  fill(peer, one.sent, QUEUE_BYTES / DELTA_BYTES, { deltaBase64: MEGABYTE });
  assert.deepEqual(client.usage(), { routes: 1, calls: 0, queuedBytes: QUEUE_BYTES });
  peer.delta(one.sent, QUEUE_BYTES / DELTA_BYTES + 1, { deltaBase64: "AA==" });
  for (let count = 1; count <= QUEUE_BYTES / DELTA_BYTES; count += 1) {
    await one.body.read();
    assert.equal(client.usage().queuedBytes, QUEUE_BYTES - count * DELTA_BYTES);
  }
  await fails(one.body.read(), "overflow");
  const two = await streaming(client, peer);
  fill(peer, two.sent, QUEUE_BYTES / DELTA_BYTES, { deltaBase64: MEGABYTE });
  two.body.drop();
  assert.deepEqual(client.usage(), NOTHING);
});

test("a terminal frame needs no room, and keeps its outcome when the budget is used up", async () => {
  const { client, peer } = await connected();
  const hoarder = await streaming(client, peer);
  fill(peer, hoarder.sent, QUEUE_BYTES / DELTA_BYTES, { deltaBase64: MEGABYTE });
  const failed = await streaming(client, peer);
  const whole = await streaming(client, peer);
  peer.delta(failed.sent, 1, { deltaBase64: "", error: "origin broke" });
  peer.delta(whole.sent, 1, TERMINAL);
  peer.delta(hoarder.sent, QUEUE_BYTES / DELTA_BYTES + 1, TERMINAL);
  assert.deepEqual(await drained(failed.body), ["", "remote"]);
  assert.deepEqual(await drained(whole.body), ["", "end"]);
  assert.equal((await drained(hoarder.body))[1], "end");
});

test("tiny frames in many streams are charged", async () => {
  const { client, peer } = await connected();
  for (let count = 0; count < 300; count += 1) fill(peer, (await streaming(client, peer)).sent, QUEUE_FRAMES, { deltaBase64: "AA==" });
  const { queuedBytes } = client.usage();
  assert(queuedBytes > QUEUE_BYTES / 2 && queuedBytes <= QUEUE_BYTES, String(queuedBytes));
});

test("an error whose bytes find no room keeps its own reason", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  fill(peer, sent, QUEUE_BYTES / DELTA_BYTES, { deltaBase64: MEGABYTE });
  peer.delta(sent, QUEUE_BYTES / DELTA_BYTES + 1, { error: "origin broke" });
  assert.equal((await drained(body))[1], "remote");
});

test("a drop behind the end changes nothing", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  peer.delta(sent, 1, { done: true });
  assert.deepEqual(await drained(body), ["<1>", "end"]);
  body.drop();
  assert.deepEqual(await drained(body), ["", "end"]);
});

test("a disconnect ends streams behind what waits, with an empty, partly filled and full queue", async () => {
  for (const frames of [0, 3, QUEUE_FRAMES]) {
    for (const readFirst of [false, true]) {
      const { client, peer } = await connected();
      const { body, sent } = await streaming(client, peer);
      fill(peer, sent, frames);
      if (readFirst && frames > 0) await body.read();
      const waiting = frames === 0 ? fails(body.read(), "disconnected") : undefined;
      peer.disconnects();
      await waiting;
      const [text, end] = await drained(body);
      assert.equal(end, "disconnected");
      assert.equal(text.split("<").length - 1, Math.max(0, frames - Number(readFirst)));
      assert.deepEqual(client.usage(), NOTHING);
    }
  }
});

test("a response and a disconnect in one go: the call succeeds, the stream does not", async () => {
  const { client, peer } = await connected();
  const { call, sent } = calling(client, peer);
  peer.answers(sent);
  peer.delta(sent, 1);
  peer.disconnects();
  assert.deepEqual(await drained((await call).body), ["<1>", "disconnected"]);
});

test("a receive that is given up loses and repeats nothing", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  const abandon = async () => {
    const giveUp = new AbortController();
    const read = body.read({ signal: giveUp.signal });
    await waits(read);
    giveUp.abort();
    await fails(read, "cancelled");
  };
  await abandon();
  peer.delta(sent, 1);
  await fails(body.read({ signal: AbortSignal.abort() }), "cancelled");
  assert.equal((await body.read())?.toString(), "<1>");
  await abandon();
  const giveUp = new AbortController();
  const read = body.read({ signal: giveUp.signal });
  peer.delta(sent, 2);
  giveUp.abort();
  assert.equal((await read)?.toString(), "<2>", "a chunk that has come counts");
  await abandon();
  peer.delta(sent, 3, { error: "x" });
  assert.deepEqual(await drained(body), ["<3>", "remote"]);
});

test("a stream that is dropped leaves nothing, with and without waiting frames or a waiting read", async () => {
  const { client, peer } = await connected();
  for (const frames of [0, 1, QUEUE_FRAMES + 1]) {
    const { body, sent } = await streaming(client, peer);
    fill(peer, sent, frames);
    const read = body.read();
    body.drop();
    assert.deepEqual(client.usage(), NOTHING);
    if (frames === 0) await fails(read, "cancelled");
    peer.delta(sent, frames + 1);
    peer.delta(sent, "x");
    await fails(body.read(), "cancelled");
    assert.deepEqual(client.usage(), NOTHING);
  }
  await works(client, peer);
});

test("a loop over a body that is left early drops it", async () => {
  const { client, peer } = await connected();
  const { body, sent } = await streaming(client, peer);
  fill(peer, sent, 3);
  for await (const chunk of body) {
    assert.equal(chunk.toString(), "<1>");
    break;
  }
  assert.deepEqual(client.usage(), NOTHING);
});
