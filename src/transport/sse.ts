import type { ServerResponse, IncomingMessage } from 'node:http';
import { textOf } from '../mcp/messageText.js';
import { type JSONRPCMessage, replyIdOf, parseMessage } from '../mcp/protocol.js';
import type { CloseNotice } from '../session/channel.js';
import { sendRefusal } from './sendRefusal.js';
import { SseWriter, type SseWriterOptions } from './sseWriter.js';
import {
  ConnectionTransport,
  resolveSessionRequest,
  bodyOf,
  openMemory,
  openWithClusterQuota,
  type AsyncRequestListener,
  type MountedRequest,
  type TransportDeps,
} from './transport.js';
import { Refusal } from '../errors/errors.js';
import { readCredentials } from '../tenancy/bearerToken.js';

export interface SseOptions extends SseWriterOptions {
  /** The address that the client posts to, relative to its own; the session id is appended as `?sessionId=`. */
  readonly messagePath: string;
}

/**
 * The server's end of HTTP+SSE (MCP 2024-11-05, basic/transports): the response to one GET is the stream. Nothing is
 * written before `announce`, so that a failed set-up gets its own HTTP status. There are no event ids: a client that
 * reconnects gets a new session. Owned by its session.
 */
export class SseTransport extends ConnectionTransport {
  readonly kind = 'sse';

  readonly #response: ServerResponse;
  readonly #messagePath: string;
  readonly #stream: SseWriter;

  constructor(response: ServerResponse, { messagePath, ...options }: SseOptions) {
    super(options.memory);
    this.#response = response;
    this.#messagePath = messagePath;
    this.#stream = new SseWriter(response, options);
    this.#stream.onerror = (error) => this.onerror?.(error);
    this.#stream.onclose = (because) => {
      if (because === 'slow-client') this.closedBecause = because;
      this.onclose?.();
    };
  }

  announce(sessionId: string): void {
    if (this.#stream.state !== 'pending') return;
    this.sessionId = sessionId;
    this.#stream.open();
    this.#stream.write({ event: 'endpoint', data: `${this.#messagePath}?sessionId=${sessionId}` });
  }

  deliver(message: JSONRPCMessage): void {
    this.#stream.write({ event: 'message', data: textOf(message) });
  }

  end(notice: CloseNotice): void {
    if (this.#stream.state === 'pending' && !this.#response.headersSent)
      sendRefusal(this.#response, notice.refusal, null);
    void this.close();
  }

  close(): Promise<void> {
    this.#stream.end();
    return Promise.resolve();
  }
}

/** `GET /sse`: opens a session. Answered when the session is connected, or when its set-up fails. */
export function openSseSession(deps: TransportDeps): AsyncRequestListener {
  const { clock } = deps;
  return async (request, response) => {
    const sessionRequest = await resolveSessionRequest(deps, request);
    const memory = openMemory(deps, sessionRequest);
    const channel = new SseTransport(response, { messagePath: messagePathFor(request), clock, memory });
    const session = await openWithClusterQuota(deps, { ...sessionRequest, channel });
    if (response.destroyed) session.detach('client-closed');
  };
}

/**
 * Where the client posts to. Behind a proxy it is relative, and so right below any path that the proxy puts before it or
 * removes. Otherwise it is absolute, for clients that only append it to the host.
 */
function messagePathFor(request: MountedRequest): string {
  if (!isProxied(request)) return `${request.baseUrl ?? ''}/message`;
  return readCredentials(request).path.endsWith('/') ? '../message' : 'message';
}

const proxyHeaders = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'];

/** Whether it can be seen that something between the client and this server passed the request on. */
function isProxied({ headers, httpVersion, socket }: MountedRequest): boolean {
  if (proxyHeaders.some((name) => headers[name] !== undefined)) return true;
  // What nginx sends by default, and with the usual settings for event streams. Clients use 1.1, most name the connection.
  if (httpVersion === '1.0' || headers.connection === undefined) return true;
  const [, port = '80'] = /:(\d+)$/.exec(headers.host ?? '') ?? [];
  return Number(port) !== socket.localPort;
}

/** With a content length, head and body are sent in one packet. */
const acceptedHeaders = { 'content-length': 'Accepted'.length };

/** `POST /message?sessionId=`: delivers one message to a session. 202 once delivered; the response follows on the stream. */
export function postSseMessage(deps: TransportDeps): AsyncRequestListener {
  const { registry, admit } = deps;
  return async (request, response) => {
    const caller = await admit(request, 'message');
    const body = await bodyOf(deps, request, caller);
    const id = replyIdOf(body);
    try {
      const sessionId = sessionIdFromQuery(request);
      if (sessionId === '') throw new Refusal('missing_session');
      const session = registry.find(sessionId, caller);
      // Only SSE sessions take messages here.
      if (!(session.channel instanceof SseTransport)) throw new Refusal('unknown');
      await session.receive(parseMessage(body));
      response.writeHead(202, acceptedHeaders).end('Accepted');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** The session id of a POST to `/message`; empty without one. */
export const sessionIdFromQuery = (request: IncomingMessage): string =>
  readCredentials(request).query.get('sessionId') ?? '';
