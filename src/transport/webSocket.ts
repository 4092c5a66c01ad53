import type { IncomingMessage } from 'node:http';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { CloseReason } from '../../machines/events.js';
import { Lock } from '../async.js';
import type { Clock } from '../clock.js';
import { type JsonRpcErrorResponse, Refusal } from '../errors/errors.js';
import { maxTextAtOnce, parseMessageText, textOf } from '../mcp/messageText.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { SessionMemory } from '../mcp/responseMemory.js';
import type { CloseNotice } from '../session/channel.js';
import {
  parsedInSlices,
  receiveText,
  type JsonText,
  ConnectionTransport,
  resolveSessionRequest,
  openMemory,
  openWithClusterQuota,
  type TransportDeps,
} from './transport.js';
import type { PendingUpgrade } from './pendingUpgrade.js';

/**
 * The close code for each close reason (RFC 6455, section 7.4.1; 4000 and up are private). The table in README.md is
 * generated from it. The first five end a session before it is announced: its client gets an HTTP status instead.
 */
export const closeCodes: Readonly<Record<CloseReason, number>> = {
  'setup-timeout': 1011,
  'setup-failed': 1011,
  'claim-refused': 1013,
  'browser-failed': 1011,
  'browser-lost': 1011,
  'client-closed': 1000,
  'idle-timeout': 1000,
  'initialize-timeout': 1008,
  'slow-client': 1008,
  'server-draining': 1001,
  stale: 1001,
  'operator-closed': 4000,
  'node-lost': 1011,
};

/** The close code for a binary frame. */
const unsupportedData = 1003;
/** The space for the reason text in a close frame (RFC 6455, section 5.5). */
const maxReasonBytes = 123;

export interface WebSocketOptions {
  readonly clock: Clock;
  /** Time between pings. A client that has sent nothing since the last ping counts as gone. */
  readonly pingIntervalMs?: number;
  /** Bytes that may wait for a slow client before its connection is closed (S10). */
  readonly maxPendingBytes?: number;
  /** Time for the client to answer the close frame, before its socket is destroyed (S5). */
  readonly closeTimeoutMs?: number;
  /** Counts the bytes that wait. */
  readonly memory?: SessionMemory;
}

interface OpenConnection {
  readonly kind: 'open';
  readonly socket: WebSocket;
  /** Whether something came since the last ping. */
  isAlive: boolean;
  pingTimer: unknown;
}

type Connection = OpenConnection | { readonly kind: 'pending' | 'closed' };

/**
 * The server's end of a WebSocket with one JSON-RPC message in each text frame. `announce` answers the handshake. Nothing
 * is written before, so that a failed set-up gets its own HTTP status. Owned by its session.
 */
export class WebSocketTransport extends ConnectionTransport {
  readonly kind = 'websocket';

  readonly #upgrade: PendingUpgrade;
  readonly #server: WebSocketServer;
  readonly #options: Required<Omit<WebSocketOptions, 'memory'>>;
  #connection: Connection = { kind: 'pending' };
  /** Held while a long message is parsed: those behind it wait, and the socket is not read. Made at first use. */
  #parsing: Lock | undefined;

  constructor(upgrade: PendingUpgrade, server: WebSocketServer, options: WebSocketOptions) {
    super(options.memory);
    this.#upgrade = upgrade;
    this.#server = server;
    this.#options = { pingIntervalMs: 15_000, maxPendingBytes: 16 * 1024 ** 2, closeTimeoutMs: 5_000, ...options };
    upgrade.onclose = () => this.#markClosed();
  }

  announce(sessionId: string): void {
    if (this.#connection.kind !== 'pending') return;
    this.sessionId = sessionId;
    const socket = this.#upgrade.accept(this.#server, [`Mcp-Session-Id: ${sessionId}`]);
    if (socket === null) {
      this.#markClosed();
      return;
    }
    const open: OpenConnection = { kind: 'open', socket, isAlive: true, pingTimer: undefined };
    this.#connection = open;
    socket
      .on('message', (data, isBinary) => this.#receive(open, data, isBinary))
      .on('pong', () => (open.isAlive = true))
      // A protocol error: `ws` has already sent the matching close code.
      .on('error', (error) => this.#fail(error))
      .on('close', () => this.#markClosed());
    this.#armPing(open);
  }

  deliver(message: JSONRPCMessage): void {
    this.#write(message);
  }

  end({ closedBecause, refusal }: CloseNotice): void {
    if (this.#connection.kind === 'pending') this.#upgrade.refuse(refusal);
    this.#closeWith(closeCodes[closedBecause], reasonText(closedBecause, refusal));
  }

  close(): Promise<void> {
    if (this.#connection.kind === 'pending') this.#upgrade.abandon();
    this.#closeWith(closeCodes['client-closed'], '');
    return Promise.resolve();
  }

  #receive(open: OpenConnection, data: RawData, isBinary: boolean): void {
    if (this.#connection !== open) return;
    open.isAlive = true;
    if (isBinary || !Buffer.isBuffer(data)) {
      this.#closeWith(unsupportedData, 'unsupported_media_type: Send text frames, one JSON-RPC message each.');
      return;
    }
    const text = data.toString('utf8');
    if (text.length <= maxTextAtOnce && this.#parsing?.isHeld !== true) this.#handle(() => parseMessageText(text));
    else void this.#handleInTurn(open, text);
  }

  #handle(json: JsonText): void {
    void receiveText(json, {
      receive: (message) => this.onmessage?.(message),
      failed: (error) => this.onerror?.(error),
    }).then((response) => response !== null && this.#write(response));
  }

  async #handleInTurn(open: OpenConnection, text: string): Promise<void> {
    open.socket.pause();
    const parsing = (this.#parsing ??= new Lock());
    await parsing.run(undefined, async () => {
      const json = await parsedInSlices(text);
      if (this.#connection === open) this.#handle(json);
    });
    if (!parsing.isHeld) open.socket.resume();
  }

  #write(message: JSONRPCMessage | JsonRpcErrorResponse): void {
    if (this.#connection.kind !== 'open') return;
    const { socket } = this.#connection;
    const { bufferedAmount } = socket;
    if (bufferedAmount <= this.#options.maxPendingBytes) {
      const text = String(textOf(message));
      socket.send(text, this.memory.hold(text.length));
      return;
    }
    // No close frame: it would wait behind the unread messages.
    this.closedBecause = 'slow-client';
    socket.terminate();
    this.#fail(new Error(`The client does not read: ${bufferedAmount} bytes are waiting.`));
  }

  #armPing(open: OpenConnection): void {
    const { clock, pingIntervalMs } = this.#options;
    open.pingTimer = clock.setTimeout(() => {
      if (open.isAlive) {
        open.isAlive = false;
        open.socket.ping();
        this.#armPing(open);
        return;
      }
      open.socket.terminate();
      this.#fail(new Error('The client does not answer pings.'));
    }, pingIntervalMs);
  }

  #fail(error: Error): void {
    this.onerror?.(error);
    this.#markClosed();
  }

  #closeWith(code: number, reason: string): void {
    if (this.#connection.kind === 'open') this.#connection.socket.close(code, reason);
    this.#markClosed();
  }

  /** Destroys the socket of a client that neither answers the close frame nor disconnects. */
  #terminateOnTimeout(socket: WebSocket): void {
    const { clock, closeTimeoutMs } = this.#options;
    if (socket.readyState === socket.CLOSED) return;
    const closeTimer = clock.setTimeout(() => socket.terminate(), closeTimeoutMs);
    socket.once('close', () => clock.clearTimeout(closeTimer));
  }

  #markClosed(): void {
    const before = this.#connection;
    if (before.kind === 'closed') return;
    this.#connection = { kind: 'closed' };
    if (before.kind === 'open') {
      this.#options.clock.clearTimeout(before.pingTimer);
      this.#terminateOnTimeout(before.socket);
    }
    this.onclose?.();
  }
}

/** `closed: idle-timeout`, or the reason and message of the catalogue; truncated between characters. */
function reasonText(closedBecause: CloseReason, refusal: Refusal): string {
  const message = refusal.reason === 'closed' ? closedBecause : refusal.message;
  const bytes = new TextEncoder().encode(`${refusal.reason}: ${message}`);
  return new TextDecoder().decode(bytes.subarray(0, maxReasonBytes), { stream: true });
}

const subprotocol = 'mcp';

export interface WebSocketDeps extends TransportDeps {
  /** Bytes of one message. */
  readonly bodyLimit: number;
}

/**
 * `GET /ws` (upgrade): opens a session. The 101 is sent when the session is connected, with `Mcp-Session-Id`. A refusal
 * before the session exists is thrown; later failures are answered by the session. Compression is off: it hides the size of
 * a message.
 */
export function createWebSocketHandler(deps: WebSocketDeps) {
  const { bodyLimit, clock, rateLimits } = deps;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // Messages that come together are handled a turn of the event loop each.
    allowSynchronousEvents: false,
    maxPayload: bodyLimit,
    handleProtocols: () => subprotocol,
  });
  return async (upgrade: PendingUpgrade): Promise<void> => {
    // Who asks is judged first: a client without a token is told that it needs one.
    await deps.admit(upgrade.request, 'connection');
    checkHandshake(upgrade.request);
    const sessionRequest = await resolveSessionRequest(deps, upgrade.request);
    // The client has disconnected. Later disconnects are handled by the transport.
    if (upgrade.hasClientLeft) return;
    const channel = new WebSocketTransport(upgrade, server, { clock, memory: openMemory(deps, sessionRequest) });
    const session = await openWithClusterQuota(deps, { ...sessionRequest, channel });
    // Every message awaits the same steps, so that their order is kept (S4).
    channel.onmessage = async (message) => {
      await rateLimits.countMessages(sessionRequest.principal);
      await session.receive(message);
    };
  };
}

/** Checks the client's handshake (RFC 6455, section 4.2.1) as strictly as `ws`, which answers it later. */
function checkHandshake({ method, headers }: IncomingMessage): void {
  const isUpgrade = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
  if (!isUpgrade || hasBody) throw new Refusal('invalid_upgrade');
  if (headers['sec-websocket-version'] !== '13') throw new Refusal('upgrade_required');
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')) throw new Refusal('invalid_upgrade');
  const list = headers['sec-websocket-protocol']?.split(',') ?? [];
  const subprotocols = list.map((token) => /^[ \t]*([\w!#$%&'*+.^`|~-]+)[ \t]*$/.exec(token)?.[1]);
  const areTokens = !subprotocols.includes(undefined);
  const isUnique = new Set(subprotocols).size === subprotocols.length;
  if (!areTokens || !isUnique || !subprotocols.includes(subprotocol)) throw new Refusal('invalid_upgrade');
}
