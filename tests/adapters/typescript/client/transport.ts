/** A connection that carries frames, as the session sees it. */

export interface TransportEvents {
  /** A frame came: the bytes of one line or of one websocket message. */
  frame(bytes: Uint8Array): void;
  /** Nothing more comes; the text says why. Called once. */
  end(reason: string): void;
}

export interface Transport {
  /** Begins to read. Between frames the event loop turns often enough for consumers to keep up. */
  start(events: TransportEvents): void;
  /** Hands a frame over for writing; `written` is called when it has left, or cannot any more. */
  send(frame: string, written: () => void): void;
  /** Closes this side and waits, for a bounded time, until the peer's is closed too. A peer that broke the protocol is told so. */
  close(isViolation: boolean): Promise<void>;
}

/** Why a connection ended when the peer closed it in good order. */
export const CLOSED_BY_EXECUTOR = "connection closed by the executor";
