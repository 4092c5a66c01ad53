import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createActor, fromCallback, fromPromise, waitFor, type InspectionEvent } from 'xstate';
import { serverMachine } from '../../machines/index.js';
import type { ServerEvent } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { topLevelState } from '../telemetry/observer.js';

export interface HttpServerDeps {
  readonly app: RequestListener;
  /** Answers every WebSocket handshake. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly config: {
    readonly host: string;
    readonly port: number;
    readonly drainTimeout: number;
    readonly maxSessions: number;
  };
  /** Time to send a request's headers and body, in milliseconds. Default: 30 s. */
  readonly requestTimeout?: number;
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

/** Longer is a client that holds a socket for nothing (slow loris). */
const requestTimeoutMs = 30_000;
/** Bytes of one request's headers. */
const maxHeaderSize = 16 * 1024;
/** Sockets for each session: its stream, a post, and spares of a client that keeps them alive. */
const socketsPerSession = 4;
/** Sockets for operators, and for clients that are refused with an answer. */
const spareSockets = 256;
/** Past the sessions' own drain timeout, and for the browsers to go. */
const shutdownMarginMs = 5_000;

/** Runs the server chart on a port. Owned by the orchestrator. */
export function startServer(deps: HttpServerDeps): ListeningServer {
  const { config, clock, inspect } = deps;
  const http = createHttpServer(deps);

  const actor = createActor(
    serverMachine.provide({
      actors: {
        listener: listenerActor(http, deps),
        drainSessions: fromPromise(() => deps.drainSessions()),
        closeBrowsers: fromPromise(() => deps.closeBrowsers()),
      },
      actions: { stopAccepting: () => void http.close() },
      delays: { drainTimeout: config.drainTimeout + shutdownMarginMs, closeTimeout: shutdownMarginMs },
    }),
    { id: 'server', clock, inspect },
  );
  actor.start();

  return {
    opened: whenOpened(),
    state: () => topLevelState(actor.getSnapshot().value),
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
    return { url: serverUrl(config.host, port), port };
  }
}

/** Bounds on what a connection may cost before it is known who makes it; past `maxConnections` new ones are hung up on. */
function createHttpServer({ app, config, requestTimeout = requestTimeoutMs }: HttpServerDeps): Server {
  const times = { requestTimeout, headersTimeout: requestTimeout, connectionsCheckingInterval: requestTimeout / 6 };
  const http = createServer({ ...times, maxHeaderSize }, app);
  http.maxConnections = socketsPerSession * config.maxSessions + spareSockets;
  return http;
}

/** Where a server on this host and port is reached. An IPv6 address may stand in brackets or not. */
export function serverUrl(host: string, port: number): string {
  return `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

/** Owns the socket: opens it, tells how that went, and ends every connection that is left when it is stopped. */
function listenerActor(http: Server, { upgrade, config: { host, port } }: HttpServerDeps) {
  return fromCallback<{ type: 'none' }, Record<never, never>>(({ sendBack }) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      const message =
        error.code === 'EADDRINUSE'
          ? `Port ${port} on ${host} is in use: stop the other program or choose another --port.`
          : `Cannot listen on ${host}:${port}: ${error.message}`;
      sendBack({ type: 'listener.failed', failure: { reason: 'listen_failed', message } } satisfies ServerEvent);
    });
    const endUpgraded = routeUpgrades(http, upgrade);
    http.listen(port, host, () => {
      const address = http.address();
      const opened = typeof address === 'object' && address !== null ? address.port : port;
      sendBack({ type: 'listener.opened', port: opened } satisfies ServerEvent);
    });
    return () => {
      http.close();
      http.closeAllConnections();
      endUpgraded();
    };
  });
}

/**
 * Gives WebSocket handshakes to `upgrade`. Any other protocol that a client offers (`h2c`, by default in some HTTP
 * libraries) is passed over, as RFC 9110 (section 7.8) has it: the request is read again without the offer. Returns what
 * ends the upgraded sockets that are left: the HTTP server no longer knows of them.
 */
function routeUpgrades(http: Server, upgrade: HttpServerDeps['upgrade']): () => void {
  const upgraded = new Set<Duplex>();
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
      http.emit('connection', socket);
      return;
    }
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    upgrade(request, socket, head);
  });
  return () => {
    for (const socket of upgraded) socket.destroy();
  };
}

function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${rawHeaders[index + 1] ?? ''}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
