import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { CloseNotice, TransportKind } from '../session/channel.js';
import type { MessageHandler, SessionTransport } from './transport.js';

/**
 * A transport of one connection, whose end is the end of its session: it has nothing by which to resume. `onclose` fires
 * exactly once, however it ends.
 */
export abstract class ConnectionTransport implements SessionTransport {
  abstract readonly kind: TransportKind;
  readonly resumable = false;
  sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  /** Takes a message of the client's; a session's throws its refusal. */
  onmessage?: MessageHandler;
  /** Why `onclose` fired. */
  closedBecause: 'client-closed' | 'slow-client' = 'client-closed';

  abstract announce(sessionId: string): void;
  abstract deliver(message: JSONRPCMessage): void;
  abstract end(ending: CloseNotice): void;
  abstract close(): Promise<void>;
}
