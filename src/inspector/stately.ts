import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { WebSocketServer, type WebSocket } from 'ws';
import { messageOf } from '../errors/errors.js';
import { shortId } from '../log.js';
import {
  type ObservationHandler,
  isActorObservation,
  isOfSession,
  type ActorObservation,
} from '../telemetry/observer.js';

/** The version of the `@statelyai/inspect` protocol: its page accepts no other. */
const protocolVersion = '0.7.2';
/** Bytes that may wait for a receiver; beyond it the receiver is disconnected and may reconnect (S10). */
const maxPendingBytes = 4 * 1024 ** 2;
const maxReceivers = 8;
const loopback = '127.0.0.1';
const loopbackNames: ReadonlySet<string> = new Set(['localhost', loopback, '[::1]']);

interface StatelyOptions {
  /** 0 picks a free port. */
  readonly port: number;
  /** Each chart as JSON, by its name. */
  readonly definitions: ReadonlyMap<string, string>;
}

/** Owned by the orchestrator: opened with the server, closed last. */
export interface StatelyBridge {
  readonly onObservation: ObservationHandler;
  /** Opens the port and resolves with its number. Rejects if it cannot be opened. */
  listen(): Promise<number>;
  close(): Promise<void>;
}

interface KnownActor {
  readonly actor: object;
  snapshot: object;
}

/**
 * Sends the observations in the protocol of Stately's inspector (`@statelyai/inspect`), on a loopback port of its own. Only
 * with `--inspect-stately`. A new receiver first gets every live actor.
 *
 * Contexts and events are reduced to numbers, booleans and the words of the charts: the page that shows them is remote.
 */
export function createStately({ port, definitions }: StatelyOptions): StatelyBridge {
  const known = new Map<string, KnownActor>();
  const http = createServer((request, response) => {
    if (!isLocalRequest(request)) {
      response.writeHead(403).end();
      return;
    }
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
      .end(statelyPage);
  });
  const verifyClient = ({ req }: { req: IncomingMessage }): boolean =>
    isLocalRequest(req) && sockets.clients.size < maxReceivers;
  const sockets = new WebSocketServer({ server: http, verifyClient, maxPayload: 1024 });
  sockets.on('connection', (socket) => {
    // Messages of a receiver are ignored; an error disconnects it.
    socket.on('error', () => socket.terminate());
    for (const { actor, snapshot } of known.values()) send(socket, [actor, snapshot]);
  });
  // The HTTP server emits the same error, which `listen` awaits.
  sockets.on('error', () => undefined);

  const broadcast = (messages: readonly object[]): void => {
    for (const socket of sockets.clients) send(socket, messages);
  };
  return {
    onObservation: (observation) => {
      if (!isActorObservation(observation)) return;
      const messages = messagesOf(observation, known, definitions);
      if (sockets.clients.size > 0) broadcast(messages);
    },
    listen: async () => {
      http.listen(port, loopback);
      await once(http, 'listening').catch((error: unknown) => {
        throw new Error(`--inspect-stately: cannot listen on ${loopback}:${port}: ${messageOf(error)}`, {
          cause: error,
        });
      });
      const address = http.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
    close: async () => {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      if (!http.listening) return;
      http.close();
      http.closeAllConnections();
      await once(http, 'close');
    },
  };
}

function send(socket: WebSocket, messages: readonly object[]): void {
  if (socket.bufferedAmount > maxPendingBytes) {
    socket.terminate();
    return;
  }
  for (const message of messages) socket.send(JSON.stringify(message));
}

function nameOf(machine: string, actor: string): string {
  if (machine === 'session') return shortId(actor);
  return isOfSession(machine) ? `${machine} ${shortId(actor)}` : actor;
}

/** The messages for one observation. Updates `known`, from which later receivers get the live actors. */
function messagesOf(
  observation: ActorObservation,
  known: Map<string, KnownActor>,
  definitions: ReadonlyMap<string, string>,
): object[] {
  const { kind, machine, actor } = observation;
  const sessionId = nameOf(machine, actor);
  const about = { sessionId, rootId: sessionId, id: null, createdAt: String(Date.now()), _version: protocolVersion };
  if (kind === 'unexpected') return [];
  if (kind === 'event') return [{ type: '@xstate.event', ...about, event: reduceToKnownWords(observation.event) }];
  const { value, context } = observation;
  const isDone = typeof value === 'string' && finalStates.has(value);
  const state = { status: isDone ? 'done' : 'active', value, context: reduceToKnownWords(context) };
  const snapshot = { type: '@xstate.snapshot', ...about, event: { type: observation.cause }, snapshot: state };
  const before = known.get(sessionId);
  const created = {
    type: '@xstate.actor',
    ...about,
    name: machine === 'session' ? `session ${sessionId}` : sessionId,
    definition: definitions.get(machine),
    snapshot: state,
  };
  if (isDone) known.delete(sessionId);
  else if (before === undefined) known.set(sessionId, { actor: created, snapshot });
  else before.snapshot = snapshot;
  return before === undefined ? [created, snapshot] : [snapshot];
}

/** Of all charts. */
const finalStates: ReadonlySet<string> = new Set(['closed', 'stopped', 'released', 'left']);

/** Fields whose texts are words of the charts; every other text may be a secret or a name. */
const chartWords: ReadonlySet<string> = new Set([
  'type',
  'kind',
  'because',
  'lease',
  'browser',
  'mode',
  'closedBecause',
  'reason',
  'method',
  'tool',
  'outcome',
]);

function reduceToKnownWords(value: unknown, key = ''): unknown {
  if (typeof value === 'string') return chartWords.has(key) ? value : '…';
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  if (typeof value !== 'object') return undefined;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, reduceToKnownWords(inner, name)]));
}

/** Checks Host (DNS rebinding) and Origin: pages of other sites are refused. */
function isLocalRequest({ headers }: IncomingMessage): boolean {
  const { host, origin } = headers;
  return isLoopback(`http://${host ?? ''}`) && (origin === undefined || isLoopback(origin));
}

function isLoopback(url: string): boolean {
  return URL.canParse(url) && loopbackNames.has(new URL(url).hostname);
}

/**
 * Shows Stately's remote page in a frame and passes the messages of the WebSocket to it, which that page cannot open itself.
 * Nothing is sent before that page reports that it is connected, and nothing to any other origin.
 */
const statelyPage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Greenroom in Stately's inspector</title>
    <style>html, body, iframe { margin: 0; width: 100%; height: 100%; border: 0; display: block }</style>
  </head>
  <body>
    <iframe title="Stately inspector" src="https://stately.ai/inspect"></iframe>
    <script>
      const stately = 'https://stately.ai';
      const { contentWindow } = document.querySelector('iframe');
      addEventListener('message', ({ origin, data }) => {
        if (origin !== stately || data?.type !== '@statelyai.connected') return;
        const socket = new WebSocket('ws://' + location.host);
        socket.onmessage = (message) => contentWindow.postMessage(JSON.parse(message.data), stately);
      }, { once: true });
    </script>
  </body>
</html>
`;
