import type { Request, Response } from 'express';
import { Refusal } from '../errors.js';
import { idOf, parseMessage } from '../mcp/protocol.js';
import { sendRefusal } from './refuse.js';
import { SseTransport } from './sse.js';
import { askedOf, credentialsOf, openSession, type TransportDeps } from './transport.js';

/** `GET /sse`: opens a session. Answered when the session is connected, or with the reason why it never will be. */
export function openStream(deps: TransportDeps) {
  const { clock } = deps;
  return async (request: Request, response: Response): Promise<void> => {
    const asked = await askedOf(deps, request);
    const channel = new SseTransport(response, { messagePath: `${request.baseUrl}/message`, clock });
    const session = openSession(deps, { ...asked, channel });
    if (response.destroyed) session.detach('client-closed');
  };
}

/** `POST /message?sessionId=`: hands one message to a session; 202 once it is delivered, and the answer comes on the stream. */
export function postMessage({ registry, admit }: TransportDeps) {
  return async (request: Request, response: Response): Promise<void> => {
    const id = idOf(request.body);
    try {
      const caller = await admit(request, 'message');
      const sessionId = postedSession(request);
      if (sessionId === '') throw new Refusal('missing_session');
      const session = registry.find(sessionId, caller);
      // A session's messages come in at the door at which it was opened.
      if (!(session.channel instanceof SseTransport)) throw new Refusal('unknown');
      await session.receive(parseMessage(request.body));
      response.writeHead(202).end('Accepted');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendRefusal(response, error, id);
    }
  };
}

/** The session that a POST to `/message` is for; empty if it names none. */
export const postedSession = (request: Request): string => credentialsOf(request).query.get('sessionId') ?? '';
