import type { Request, Response } from 'express';
import { Refusal } from '../errors.js';
import { idOf, parseMessage } from '../mcp/protocol.js';
import { principalOf } from '../tenancy/auth.js';
import { sendRefusal } from './refuse.js';
import { SseTransport } from './sse.js';
import { credentialsOf, openSession, type TransportDeps } from './transport.js';

/** `GET /sse`: opens a session. Answered when the session is connected, or with the reason why it never will be. */
export function openStream({ authenticate, selectTools, clock, ...parts }: TransportDeps) {
  return async (request: Request, response: Response): Promise<void> => {
    const credentials = credentialsOf(request);
    const principal = principalOf(await authenticate(credentials));
    const toolSet = selectTools(credentials.query.get('tools'));
    const channel = new SseTransport(response, { messagePath: `${request.baseUrl}/message`, clock });
    const session = openSession(parts, { principal, toolSet, channel });
    if (response.destroyed) session.detach('client-closed');
  };
}

/** `POST /message?sessionId=`: hands one message to a session; 202, and the answer comes on the stream. */
export function postMessage({ registry, authenticate }: TransportDeps) {
  return async (request: Request, response: Response): Promise<void> => {
    const id = idOf(request.body);
    try {
      const credentials = credentialsOf(request);
      const sessionId = credentials.query.get('sessionId') ?? '';
      if (sessionId === '') throw new Refusal('missing_session');
      const session = registry.find(sessionId, await authenticate(credentials));
      session.receive(parseMessage(request.body));
      response.writeHead(202).end('Accepted');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}
