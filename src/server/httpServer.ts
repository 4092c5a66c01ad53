import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createActor, fromCallback, fromPromise, waitFor, type InspectionEvent } from 'xstate';
import { serverMachine } from '../../machines/index.js';
import type { ServerEvent } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { topLevelState } from '../telemetry/observer.js';
import { isLoopback } from '../config/config.js';
import { describePortInUse, serverUrl } from './portHolder.js';

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
  /** Time to send a request's headers and body, in milliseconds. Default: 2 min. */
  readonly requestTimeout?: number;
  /** A socket that listens already, as its file descriptor; it stays open for the next server. Default: one of its own. */
  readonly socket?: number | undefined;
  readonly clock: Clock;
  inspect(event: InspectionEvent): void;
  drainSessions(): Promise<void>;
  closeBrowsers(): Promise<void>;
}

export interface ListeningServer {
  /** Resolves with the address on entry to `listening`; rejects if the port cannot be opened. */
  readonly opened: Promise<{ readonly url: string; readonly port: number }>;
  state(): string;
  /** Drains and resolves on entry to `stopped`. Idempotent. */
  drain(): Promise<void>;
}

/**
 * Bounds clients that send a request very slowly to hold a socket (slow loris). Node looks for them before it reads what has
 * arrived: it has to be longer than a burst of clients can keep the server busy.
 */
const requestTimeoutMs = 120_000;
/** Connections that may wait to be accepted, where the system allows it: clients that all come back after a restart. */
const backlog = 4_096;
/**
 * How long a connection without a request stays open: longer than proxies keep theirs (nginx 60 s, Caddy 120 s, Google's load
 * balancer 600 s), or a proxy would send a request on a connection that is just being closed.
 */
const keepAliveTimeoutMs = 620_000;
/** Bytes of one request's headers. */
const maxHeaderSize = 16 * 1024;
/** Sockets for each session: its stream, a POST, and two kept alive by the client. */
const socketsPerSession = 4;
/** Sockets for operators, and for clients that are refused with an answer. */
const spareSockets = 256;
/** Added to the sessions' drain timeout; also the bound on closing the browsers. */
const shutdownMarginMs = 5_000;

/**
 * Runs the server chart (`machines/serverMachine.ts`) on a port. Owned by the orchestrator, which calls `drain`.
 *
 *     starting ──► listening ──► draining.sessions ──► draining.browsers ──► stopped
 *     port opens   drain()       no new sessions,      port closes, browsers  open sockets
 *                                sessions drain        and users close        are destroyed
 */
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
      throw new Error(failure?.message ?? 'The server was closed before its port was open.');
    return { url: serverUrl(config.host, port), port };
  }
}

/**
 * Bounds the cost of unauthenticated connections. Past `maxConnections` new connections are closed, and those without a
 * request make room.
 */
function createHttpServer({ app, config, requestTimeout = requestTimeoutMs }: HttpServerDeps): Server {
  const times = { requestTimeout, headersTimeout: requestTimeout, connectionsCheckingInterval: requestTimeout / 6 };
  const http = createServer({ ...times, maxHeaderSize, keepAliveTimeout: keepAliveTimeoutMs }, app);
  http.maxConnections = socketsPerSession * config.maxSessions + spareSockets;
  http.on('drop', () => http.closeIdleConnections());
  return http;
}

/** Owns the listening socket: opens it, reports the port or the failure to the chart, and closes every connection when stopped. */
function listenerActor(http: Server, { upgrade, socket, config: { host, port } }: HttpServerDeps) {
  return fromCallback<{ type: 'none' }, Record<never, never>>(({ sendBack }) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      void describeListenFailure(error, host, port).then((message) =>
        sendBack({ type: 'listener.failed', failure: { reason: 'listen_failed', message } } satisfies ServerEvent),
      );
    });
    const endUpgraded = routeUpgrades(http, upgrade);
    http.listen(socket === undefined ? { port, host, backlog } : { fd: socket }, () => {
      const address = http.address();
      const isKnown = typeof address === 'object' && address !== null;
      // The address of the socket is not the one that the options were checked for.
      if (isKnown && isLoopback(host) && !isLoopback(address.address)) {
        const message = `The socket that was handed over listens on ${address.address}, and --host is ${host}: give both the same address.`;
        sendBack({ type: 'listener.failed', failure: { reason: 'listen_failed', message } } satisfies ServerEvent);
      } else sendBack({ type: 'listener.opened', port: isKnown ? address.port : port } satisfies ServerEvent);
    });
    return () => {
      http.close();
      http.closeAllConnections();
      endUpgraded();
    };
  });
}

const listenFailures: Readonly<Record<string, string>> = {
  EACCES: 'only root may open this port: choose a --port above 1023',
  EADDRNOTAVAIL: 'no network interface of this machine has that address: use 127.0.0.1, or an address of its own',
  ENOTFOUND: 'this name has no address: use 127.0.0.1, or an address of this machine',
};

async function describeListenFailure(error: NodeJS.ErrnoException, host: string, port: number): Promise<string> {
  if (error.code === 'EADDRINUSE') return describePortInUse(host, port);
  return `Cannot listen on ${host}:${port}: ${listenFailures[error.code ?? ''] ?? error.message}.`;
}

/**
 * Passes WebSocket handshakes to `upgrade`. An offer of any other protocol (`h2c`, by default in some HTTP libraries) is
 * ignored (RFC 9110, section 7.8): the request is parsed again without the offer. Returns a function that destroys the
 * upgraded sockets that are still open: the HTTP server does not track them.
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
