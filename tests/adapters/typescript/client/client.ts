/** Makes HTTP requests through an executor: `request` for bodies that fit in memory, `stream` for all others. */

import { ClientError } from "./errors.js";
import {
  decodeResult,
  encodeParams,
  LengthCheck,
  REQUEST_METHOD,
  type HttpRequest,
  type ResponseHead,
} from "./http.js";
import { Body } from "./body.js";
import { member } from "./json.js";
import { HANDSHAKE_MILLISECONDS, REQUEST_ID_BYTES } from "./limits.js";
import { Session } from "./session.js";
import { spawnExecutor } from "./stdio.js";
import type { Transport } from "./transport.js";
import { connectWebSocket } from "./websocket.js";

export interface BufferedResponse extends ResponseHead {
  body: Buffer;
}

export interface StreamedResponse extends ResponseHead {
  body: Body;
}

export interface CallOptions {
  /** Gives up the call until its response has come; the executor is not told, and may carry it out. */
  signal?: AbortSignal;
}

/** What the calls of a connection hold at this moment. */
export interface Usage {
  /** Streams whose end was not seen yet. */
  routes: number;
  /** Calls without an answer. */
  calls: number;
  /** Bytes that wait for consumers. */
  queuedBytes: number;
}

/** One connection. Calls run concurrently, and none is ever repeated or made in another way by the client. */
export class Client {
  readonly #session: Session;
  #hasHeaderEnvVars = false;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** Connects to an executor that listens on a websocket. Throws `ClientError`. */
  static async connect(url: string): Promise<Client> {
    return Client.over(await connectWebSocket(url));
  }

  /** Starts an executor that speaks on its standard input and output. Throws `ClientError`. */
  static async spawn(argv: string[], env?: Record<string, string>): Promise<Client> {
    return Client.over(await spawnExecutor(argv, env));
  }

  /** Makes the handshake. Throws `ClientError`; the connection is closed then. */
  static async over(transport: Transport): Promise<Client> {
    const client = new Client(new Session(transport));
    try {
      await client.#handshake();
    } catch (error) {
      void client.close();
      throw error;
    }
    return client;
  }

  /** Settled with the reason when the connection has ended. */
  get ended(): Promise<string> {
    return this.#session.ended;
  }

  usage(): Usage {
    const { routes, calls } = this.#session;
    return { routes: routes.size, calls, queuedBytes: routes.queuedBytes };
  }

  /** Waits for the whole response. Any HTTP status is one. Throws `ClientError`. */
  async request(request: HttpRequest, { signal }: CallOptions = {}): Promise<BufferedResponse> {
    const id = this.#session.admit();
    const params = this.#encode(request, requestIdOf(request, id), false);
    const { head, body } = decodeResult(await this.#session.call({ id, method: REQUEST_METHOD, params, signal }));
    const check = new LengthCheck(request.method, head);
    const wrong = check.handleChunk(body.length) ?? check.handleEnd();
    if (wrong !== undefined) throw wrong;
    return { ...head, body };
  }

  /** Waits for the response head; the body follows in pieces. Any HTTP status is a response. Throws `ClientError`. */
  async stream(request: HttpRequest, { signal }: CallOptions = {}): Promise<StreamedResponse> {
    const id = this.#session.admit();
    const requestId = requestIdOf(request, id);
    const params = this.#encode(request, requestId, true);
    const { routes } = this.#session;
    const route = routes.open(requestId);
    try {
      // Bytes in the result itself are none of the body's.
      const { head } = decodeResult(await this.#session.call({ id, method: REQUEST_METHOD, params, route, signal }));
      return { ...head, body: new Body(routes, route, new LengthCheck(request.method, head)) };
    } catch (error) {
      routes.release(route);
      throw error;
    }
  }

  /** Ends the connection, and with it all its calls and streams. */
  close(): Promise<void> {
    return this.#session.close();
  }

  #encode(request: HttpRequest, requestId: string, isStream: boolean): object {
    if (!this.#hasHeaderEnvVars && request.headers?.some((header) => header.valueEnvVar !== undefined)) {
      throw new ClientError("request", "executor has not announced that it resolves variables");
    }
    return encodeParams(request, requestId, isStream);
  }

  async #handshake(): Promise<void> {
    const deadline = AbortSignal.timeout(HANDSHAKE_MILLISECONDS);
    let result;
    try {
      const params = { clientName: "exec-http-typescript" };
      result = await this.#session.call({ id: this.#session.admit(), method: "initialize", params, signal: deadline });
    } catch (error) {
      if (!deadline.aborted) throw error;
      throw new ClientError("timeout", `no handshake within ${HANDSHAKE_MILLISECONDS} milliseconds`);
    }
    const sessionId = member(result, "sessionId");
    if (typeof sessionId !== "string" || sessionId === "") {
      throw new ClientError("malformed", "unreadable result: sessionId is not a non-empty text");
    }
    const capabilities = member(member(result, "environmentInfo"), "capabilities");
    this.#hasHeaderEnvVars = member(capabilities, "httpHeaderEnvVars") === true;
    this.#session.notify("initialized", {});
  }
}

/** The call's number at its end makes it unique, whatever the application asked for. */
function requestIdOf({ requestId = "http" }: HttpRequest, id: bigint): string {
  if (Buffer.byteLength(requestId) > REQUEST_ID_BYTES) {
    throw new ClientError("request", `requestId exceeds ${REQUEST_ID_BYTES} bytes`);
  }
  return `${requestId}-${id}`;
}
