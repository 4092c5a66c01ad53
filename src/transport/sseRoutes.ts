import type { IncomingMessage } from 'node:http';
import { Refusal } from '../errors/errors.js';
import { replyIdOf, parseMessage } from '../mcp/protocol.js';
import { sendRefusal } from './sendRefusal.js';
import { SseTransport } from './sse.js';
import { resolveSessionRequest, bodyOf, readCredentials, openWithClusterQuota, type AsyncRequestListener, type TransportDeps } from './transport.js';

/** `GET /sse`: opens a session. Answered when the session is connected, or with the reason why it never will be. */
export function openSseSession(deps: TransportDeps): AsyncRequestListener {
  const { clock } = deps;
  return async (request, response) => {
    const sessionRequest = await resolveSessionRequest(deps, request);
    const channel = new SseTransport(response, { messagePath: `${request.baseUrl ?? ''}/message`, clock });
    const session = await openWithClusterQuota(deps, { ...sessionRequest, channel });
    if (response.destroyed) session.detach('client-closed');
  };
}

/** With a length, head and body leave in one piece. */
const acceptedHeaders = { 'content-length': 'Accepted'.length };

/** `POST /message?sessionId=`: hands one message to a session; 202 once it is delivered, and the answer comes on the stream. */
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
      // A session's messages come in at the door at which it was opened.
      if (!(session.channel instanceof SseTransport)) throw new Refusal('unknown');
      await session.receive(parseMessage(body));
      response.writeHead(202, acceptedHeaders).end('Accepted');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** The session that a POST to `/message` is for; empty if it names none. */
export const sessionIdFromQuery = (request: IncomingMessage): string => readCredentials(request).query.get('sessionId') ?? '';
