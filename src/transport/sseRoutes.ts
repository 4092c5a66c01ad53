import type { Request, Response } from 'express';
import { Refusal } from '../errors.js';
import { idOf, parseMessage } from '../mcp/protocol.js';
import { principalOf } from '../tenancy/auth.js';
import { sendRefusal } from './refuse.js';
import { SseTransport } from './sse.js';
import { credentialsOf, type TransportDeps } from './transport.js';

/** `GET /sse`: opens a session. Answered when the session is connected, or with the reason why it never will be. */
export function openStream({ registry, parts, authenticate, selectTools, clock }: TransportDeps) {
  return async (request: Request, response: Response): Promise<void> => {
    const credentials = credentialsOf(request);
    const principal = principalOf(await authenticate(credentials));
    const toolSet = selectTools(credentials.query.get('tools'));
    const channel = new SseTransport(response, { messagePath: `${request.baseUrl}/message`, clock });
    const session = registry.open(parts, { principal, toolSet, channel });
    channel.onclose = () => session.detach(channel.closedBecause);
    channel.onmessage = (message) => session.receive(message);
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
      // A session's messages come in at the door at which it was opened.
      if (!(session.channel instanceof SseTransport)) throw new Refusal('unknown');
      session.receive(parseMessage(request.body));
      response.writeHead(202).end('Accepted');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}
