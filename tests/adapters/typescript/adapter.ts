/** The adapter between the conformance suite and `client/`: the calls of the library. `control.ts` is that of the skeleton. */

import type { Body } from "./client/body.js";
import { Client } from "./client/client.js";
import { ClientError } from "./client/errors.js";
import type { ResponseHeader } from "./client/http.js";
import { DELTA_BYTES, QUEUE_BYTES, QUEUE_FRAMES } from "./client/limits.js";
import { CONTROL, run, type Failure } from "./control.js";

/** Characters of an error text that are told. */
const MESSAGE_CHARACTERS = 65_536;

const hello = {
  control: CONTROL,
  adapter: "exec-http-typescript-adapter 1",
  library: "exec-http-typescript 1.0.0",
  language: "typescript",
  transports: ["ws", "stdio"],
  features: "error-kinds census abandon cancel caller-ids header-env-vars redirect-policy close-events buffered".split(" "),
  limits: { queueFrames: QUEUE_FRAMES, queueBytes: QUEUE_BYTES, frameBytes: DELTA_BYTES },
};

/** The response as the suite sees it, whose header values are text and, where they are not UTF-8, bytes too. */
function shown<Rest extends { headers: ResponseHeader[] }>({ headers, ...rest }: Rest) {
  const entry = ({ name, value, bytes }: ResponseHeader) =>
    bytes === undefined ? { name, value } : { name, value, valueBase64: bytes.toString("base64") };
  return { ...rest, headers: headers.map(entry) };
}

/** What the library says; `other` where the suite has no word for it. */
function failureOf(error: unknown): Failure {
  if (!(error instanceof ClientError)) return { kind: "other", message: String(error) };
  const kind = error.kind === "request" ? "other" : error.kind;
  return { kind, message: error.message.slice(0, MESSAGE_CHARACTERS), ...(error.code !== undefined && { code: error.code }) };
}

await run<Client, Body>({
  hello,
  openWebSocket: (url) => Client.connect(url),
  openStdio: (argv, env) => Client.spawn(argv, env),
  callStreamed: async (client, request, signal) => shown(await client.stream(request, { signal })),
  callBuffered: async (client, request, signal) => shown(await client.request(request, { signal })),
  receive: (body, signal) => body.read(signal && { signal }),
  drop: (body) => body.drop(),
  close: (client) => client.close(),
  closed: async (client) => void (await client.ended),
  census: (client) => client.usage(),
  failureOf,
});
