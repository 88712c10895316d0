/** Why a connection, a call or a stream failed. */

/** What failed, by whose fault:
 *
 * | kind | fault of | meaning |
 * |---|---|---|
 * | `request` | application | the request cannot be sent as it is; nothing was sent |
 * | `cancelled` | application | it gave up |
 * | `overflow` | application | it read a stream too slowly |
 * | `limit` | either | something else is larger than a bound of this client |
 * | `rpc` | executor says | it answered with an error; `code` is its code |
 * | `remote` | executor says | the terminal frame of the stream carries an error |
 * | `sequence`, `truncated`, `malformed` | executor | a frame out of order, a body of the wrong length, data that cannot be read |
 * | `timeout` | executor | no handshake in time |
 * | `disconnected` | transport | the connection ended |
 * | `unknown-outcome` | transport | the connection ended, and the request may have been carried out |
 */
export type FailureKind =
  | "request"
  | "cancelled"
  | "overflow"
  | "limit"
  | "rpc"
  | "remote"
  | "sequence"
  | "truncated"
  | "malformed"
  | "timeout"
  | "disconnected"
  | "unknown-outcome";

/** What an executor says has failed. */
const EXECUTOR_KINDS = [
  "connect",
  "dns",
  "tls",
  "timeout",
  "reset",
  "truncated",
  "protocol",
  "redirect",
  "limit",
  "denied",
  "cancelled",
] as const;

export type ExecutorKind = (typeof EXECUTOR_KINDS)[number];

/** The kind of that word; a word of a later revision is none. */
export function executorKind(word: unknown): ExecutorKind | undefined {
  return EXECUTOR_KINDS.find((kind) => kind === word);
}

/** A failure. Its text names no URL, header value or body, unless the executor's own text does. */
export class ClientError extends Error {
  override readonly name = "ClientError";

  constructor(
    readonly kind: FailureKind,
    message: string,
    /** The executor's code, with kind `rpc`. */
    readonly code?: number,
    /** What the executor says has failed, with kinds `rpc` and `remote`, if it says so. */
    readonly executorKind?: ExecutorKind,
  ) {
    super(message);
  }
}

export function cancelled(): ClientError {
  return new ClientError("cancelled", "given up by the application");
}
