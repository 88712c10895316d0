/** Frames over a websocket. Fragments, pings, UTF-8 of text messages and the largest message are the library's care. */

import { WebSocket, type ClientOptions, type RawData } from "ws";

import { ClientError } from "./errors.js";
import { CLOSE_MILLISECONDS, HANDSHAKE_MILLISECONDS, MESSAGE_BYTES } from "./limits.js";
import { CLOSED_BY_EXECUTOR, type Transport, type TransportEvents } from "./transport.js";

const STATUS_NORMAL = 1000;
const STATUS_VIOLATION = 1002;

/** The published types do not know `closeTimeout` yet. */
const OPTIONS: ClientOptions & { closeTimeout: number } = {
  // One message per turn of the event loop, so that a burst in one packet cannot overrun a consumer that reads.
  allowSynchronousEvents: false,
  closeTimeout: CLOSE_MILLISECONDS,
  handshakeTimeout: HANDSHAKE_MILLISECONDS,
  maxPayload: MESSAGE_BYTES,
  perMessageDeflate: false,
};

/** Connects to an executor that listens at `url`. No `Origin` is sent. */
export async function connectWebSocket(url: string): Promise<Transport> {
  let socket: WebSocket;
  try {
    socket = new WebSocket(url, OPTIONS);
  } catch {
    throw new ClientError("request", "not the URL of a websocket");
  }
  await new Promise<void>((resolve, reject) => {
    socket.on("error", (error) => reject(new ClientError("disconnected", `no websocket connection: ${error.message}`)));
    socket.on("open", () => {
      socket.pause();
      resolve();
    });
  });
  return new WebSocketTransport(socket);
}

class WebSocketTransport implements Transport {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  start(events: TransportEvents): void {
    let hasEnded = false;
    const end = (reason: string) => {
      if (!hasEnded) events.end(reason);
      hasEnded = true;
    };
    // The default `binaryType` gives every message, text or binary, as one Buffer.
    this.#socket.on("message", (data: RawData) => {
      if (!hasEnded) events.frame(data as Buffer);
    });
    this.#socket.on("error", (error) => end(`transport failed: ${error.message}`));
    this.#socket.on("close", () => end(CLOSED_BY_EXECUTOR));
    if (this.#socket.readyState === WebSocket.CLOSED) end(CLOSED_BY_EXECUTOR);
    this.#socket.resume();
  }

  send(frame: string, written: () => void): void {
    this.#socket.send(frame, written);
  }

  close(isViolation: boolean): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState === WebSocket.CLOSED) return resolve();
      this.#socket.on("close", () => resolve());
      this.#socket.close(isViolation ? STATUS_VIOLATION : STATUS_NORMAL);
      return undefined;
    });
  }
}
