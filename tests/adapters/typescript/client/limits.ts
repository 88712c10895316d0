/** Every bound of the client by name. The last word of a name is its unit. */

/** Decoded bytes that one body delta may carry. */
export const DELTA_BYTES = 1024 * 1024;

/** JSON values that one message may hold, nested ones counted. */
export const MESSAGE_VALUES = 262_144;

/** Levels of arrays and objects that one message may nest. */
export const NESTING_LEVELS = 128;

/** Bytes of one stdio line without its end, or of one websocket message with all its fragments. */
export const MESSAGE_BYTES = 64 * 1024 * 1024;

/** Data frames that may wait in one stream; those of the terminal frame have a place of their own. */
export const QUEUE_FRAMES = 256;

/** Body bytes that may wait in all streams of a connection together. */
export const QUEUE_BYTES = 16 * 1024 * 1024;

/** What a waiting frame costs of `QUEUE_BYTES` at least, so that tiny frames cannot pile up for free. */
export const FRAME_CHARGE_BYTES = 256;

/** Calls that may wait for their answers on one connection, and as many streams whose end was not seen yet. */
export const CALLS = 16_384;

/** Bytes of requests that may wait for the transport; a call beyond it is refused. */
export const OUTBOX_BYTES = 128 * 1024 * 1024;

/** Bytes of answers to the executor's own requests that may wait for the transport; beyond it the connection ends. */
export const REPLY_BYTES = 1024 * 1024;

/** Bytes of the `requestId` that an application may ask for; an executor reads 1,024, and the client adds its number. */
export const REQUEST_ID_BYTES = 1000;

/** How long connecting and the handshake may each take. */
export const HANDSHAKE_MILLISECONDS = 10_000;

/** How long the peer of a websocket may take to close its side. */
export const CLOSE_MILLISECONDS = 500;

/** How long a stdio executor may take to exit once its standard input has ended. */
export const EXIT_MILLISECONDS = 2_000;

/** How long reading goes on after the executor has stopped to listen. */
export const LAST_FRAMES_MILLISECONDS = 5_000;
