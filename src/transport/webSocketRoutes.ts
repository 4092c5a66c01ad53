import type { IncomingMessage } from 'node:http';
import { WebSocketServer } from 'ws';
import { Refusal } from '../errors/errors.js';
import { resolveSessionRequest, openWithClusterQuota, type TransportDeps } from './transport.js';
import type { PendingUpgrade } from './pendingUpgrade.js';
import { WebSocketTransport } from './webSocket.js';

const subprotocol = 'mcp';

export interface WebSocketDeps extends TransportDeps {
  /** Bytes of one message. */
  readonly bodyLimit: number;
}

/**
 * `GET /ws` (upgrade): opens a session. The 101 leaves when the session is connected, with `Mcp-Session-Id`; what is
 * refused before is thrown, what fails later is answered by the session. Compression is off: it hides a message's size.
 */
export function createWebSocketHandler(deps: WebSocketDeps) {
  const { bodyLimit, clock, rateLimits } = deps;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: bodyLimit,
    handleProtocols: () => subprotocol,
  });
  return async (upgrade: PendingUpgrade): Promise<void> => {
    checkHandshake(upgrade.request);
    const sessionRequest = await resolveSessionRequest(deps, upgrade.request);
    // Who left meanwhile is not waited for; from here on the transport is told.
    if (upgrade.hasClientLeft) return;
    const channel = new WebSocketTransport(upgrade, server, { clock });
    const session = await openWithClusterQuota(deps, { ...sessionRequest, channel });
    // Each message waits as long as the one before it: their order stays (S4).
    channel.onmessage = async (message) => {
      await rateLimits.countMessages(sessionRequest.principal);
      await session.receive(message);
    };
  };
}

/** The client's part of the handshake (RFC 6455, section 4.2.1), as strict as what will answer it. */
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
