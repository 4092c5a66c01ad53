import type { Request, Response } from 'express';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors.js';
import { idOf, parseMessage } from '../mcp/protocol.js';
import type { SessionParts } from '../session/session.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';
import { principalOf, type Authenticate } from '../tenancy/auth.js';
import type { ToolSet } from '../tools/catalogue.js';
import { sendRefusal } from './refuse.js';
import { SseTransport } from './sse.js';

export interface SseRoutesDeps {
  readonly registry: SessionRegistry;
  readonly parts: SessionParts;
  readonly authenticate: Authenticate;
  /** The tools of `?tools=`, or the server's default without it. Throws a Refusal on an unknown group. */
  selectTools(groups: string | null): ToolSet;
  readonly clock: Clock;
}

/** `GET /sse`: opens a session. Answered when the session is connected, or with the reason why it never will be. */
export function openStream({ registry, parts, authenticate, selectTools, clock }: SseRoutesDeps) {
  return (request: Request, response: Response): void => {
    const query = queryOf(request);
    const principal = principalOf(authenticate(query));
    const toolSet = selectTools(query.get('tools'));
    const channel = new SseTransport(response, { messagePath: `${request.baseUrl}/message`, clock });
    const session = registry.open(parts, { principal, toolSet, channel });
    channel.onclose = () => session.detach(channel.closedBecause);
    channel.onmessage = (message) => session.receive(message);
    if (response.destroyed) session.detach('client-closed');
  };
}

/** `POST /message?sessionId=`: hands one message to a session; 202, and the answer comes on the stream. */
export function postMessage({ registry, authenticate }: SseRoutesDeps) {
  return (request: Request, response: Response): void => {
    const id = idOf(request.body);
    try {
      const query = queryOf(request);
      const sessionId = query.get('sessionId') ?? '';
      if (sessionId === '') throw new Refusal('missing_session');
      const session = registry.find(sessionId, authenticate(query));
      session.receive(parseMessage(request.body));
      response.writeHead(202).end('Accepted');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** The query as it was sent. No URL is parsed: a request target may be anything, and this must not fail. */
function queryOf(request: Request): URLSearchParams {
  const start = request.originalUrl.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : request.originalUrl.slice(start + 1));
}
