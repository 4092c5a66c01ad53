import type { RequestListener } from 'node:http';
import type { CheckDoors } from '../transport/doors.js';
import { sendRefusal } from '../transport/refuse.js';
import { identifyRequests } from '../transport/requestId.js';
import { continueTrace } from '../transport/requestTrace.js';
import { orElsewhere, type ElsewhereDeps } from '../transport/elsewhere.js';
import { openStream, postedSession, postMessage } from '../transport/sseRoutes.js';
import {
  leaveSession,
  listenToSession,
  namedSession,
  postToSession,
  type StreamableHttpDeps,
} from '../transport/streamableHttpRoutes.js';
import type { Listener } from '../transport/transport.js';
import type { Log } from '../log.js';
import type { Fold } from '../session/observer.js';
import { loggedRefusal } from './failure.js';
import type { Verb } from './route.js';

/** What answers at each path of a protocol. */
export type MessageDoors = Readonly<Record<'/sse' | '/message' | '/mcp', Partial<Record<Verb, Listener>>>>;

/** Where the messages of sessions come in. */
export function messageDoors(deps: StreamableHttpDeps & ElsewhereDeps): MessageDoors {
  const posted = (here: Listener): Listener => orElsewhere(deps, postedSession, here);
  const named = (here: Listener): Listener => orElsewhere(deps, namedSession, here);
  return {
    '/sse': { get: openStream(deps) },
    '/message': { post: posted(postMessage(deps)) },
    '/mcp': {
      get: named(listenToSession(deps)),
      post: named(postToSession(deps)),
      delete: named(leaveSession(deps)),
    },
  };
}

export interface FrontDeps {
  readonly doors: MessageDoors;
  readonly check: CheckDoors;
  /** Everything else: other routes, other verbs, and other spellings of these paths. */
  readonly rest: RequestListener;
  readonly log: Log;
  /** Hears of refusals. */
  readonly observe: Fold;
}

/**
 * The doors of messages as a server's own listener, for what comes to their very paths. They are asked thousands of times
 * for each other route, and the way through a router and its middleware costs as much as the rest of a ping together.
 */
export function createFront({ doors, check, rest, log, observe }: FrontDeps): RequestListener {
  const identify = identifyRequests(observe);
  const listeners = new Map<string, Listener>();
  for (const [path, verbs] of Object.entries(doors)) {
    for (const [verb, listener] of Object.entries(verbs)) listeners.set(`${verb.toUpperCase()} ${path}`, listener);
  }
  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?', 1);
    const listener = listeners.get(`${request.method} ${path}`);
    if (listener === undefined) {
      rest(request, response);
      return;
    }
    const answer = async (): Promise<void> => {
      try {
        check(request);
        await listener(request, response);
      } catch (error) {
        const refusal = loggedRefusal(error, { path, response, log });
        if (response.headersSent) response.destroy();
        else sendRefusal(response, refusal, null);
      }
    };
    identify(request, response, () => continueTrace(request, response, () => void answer()));
  };
}
