import { createServer, type RequestListener, type Server } from 'node:http';
import { createActor, fromCallback, fromPromise, waitFor, type InspectionEvent } from 'xstate';
import { serverMachine } from '../../machines/index.js';
import type { ServerEvent } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { topLevel } from './observer.js';

export interface ServerParts {
  readonly app: RequestListener;
  readonly config: { readonly host: string; readonly port: number; readonly drainTimeout: number };
  readonly clock: Clock;
  inspect(event: InspectionEvent): void;
  drainSessions(): Promise<void>;
  closeBrowsers(): Promise<void>;
}

export interface ListeningServer {
  /** Resolves with the address on entry to `listening`; rejects if the port cannot be had. */
  readonly opened: Promise<{ readonly url: string; readonly port: number }>;
  state(): string;
  /** Drains and resolves on entry to `stopped`. Idempotent. */
  drain(): Promise<void>;
}

/** Time to send a request's headers and body: longer is a client that holds a socket for nothing (slow loris). */
const requestTimeoutMs = 30_000;
/** Past the sessions' own drain timeout, and for the browsers to go. */
const marginMs = 5_000;

/** Runs the server chart on a port. Owned by the orchestrator. */
export function startServer(parts: ServerParts): ListeningServer {
  const { config, clock, inspect } = parts;
  const http = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs }, parts.app);

  const actor = createActor(
    serverMachine.provide({
      actors: {
        listener: listenerOf(http, config),
        drainSessions: fromPromise(() => parts.drainSessions()),
        closeBrowsers: fromPromise(() => parts.closeBrowsers()),
      },
      actions: { stopAccepting: () => void http.close() },
      delays: { drainTimeout: config.drainTimeout + marginMs, closeTimeout: marginMs },
    }),
    { id: 'server', clock, inspect },
  );
  actor.start();

  return {
    opened: whenOpened(),
    state: () => topLevel(actor.getSnapshot().value),
    drain: async () => {
      actor.send({ type: 'server.drain' });
      await waitFor(actor, (snapshot) => snapshot.status === 'done');
    },
  };

  async function whenOpened(): Promise<{ url: string; port: number }> {
    const snapshot = await waitFor(actor, ({ value }) => value !== 'starting');
    const { port, failure } = snapshot.context;
    if (failure !== null || port === null)
      throw new Error(failure?.message ?? 'The server was stopped before it listened.');
    return { url: urlOf(config.host, port), port };
  }
}

/** Where a server on this host and port is reached. An IPv6 address may stand in brackets or not. */
export function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

/** Owns the socket: opens it, tells how that went, and ends every connection that is left when it is stopped. */
function listenerOf(http: Server, { host, port }: ServerParts['config']) {
  return fromCallback<{ type: 'none' }, Record<never, never>>(({ sendBack }) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      const message =
        error.code === 'EADDRINUSE'
          ? `Port ${port} on ${host} is in use: stop the other program or choose another --port.`
          : `Cannot listen on ${host}:${port}: ${error.message}`;
      sendBack({ type: 'listener.failed', failure: { reason: 'listen_failed', message } } satisfies ServerEvent);
    });
    http.listen(port, host, () => {
      const address = http.address();
      const opened = typeof address === 'object' && address !== null ? address.port : port;
      sendBack({ type: 'listener.opened', port: opened } satisfies ServerEvent);
    });
    return () => {
      http.close();
      http.closeAllConnections();
    };
  });
}
