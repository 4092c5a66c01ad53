import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { Ending, TransportKind } from '../session/channel.js';
import type { OnMessage, SessionTransport } from './transport.js';

/** A transport of one connection, whose end is the end of its session: it has nothing by which to resume. */
export abstract class ConnectionTransport implements SessionTransport {
  abstract readonly kind: TransportKind;
  readonly resumable = false;
  sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: OnMessage;
  /** Why `onclose` fired. */
  closedBecause: 'client-closed' | 'slow-client' = 'client-closed';

  /** Whether it is announced and not closed. */
  protected abstract get isOpen(): boolean;

  /** Part of the SDK's contract. The connection is open already; nothing is announced. */
  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Part of the SDK's contract. */
  send(message: JSONRPCMessage): Promise<void> {
    if (!this.isOpen) return Promise.reject(new Error(`The ${this.kind} connection is not open.`));
    this.deliver(message);
    return Promise.resolve();
  }

  abstract announce(sessionId: string): void;
  abstract deliver(message: JSONRPCMessage): void;
  abstract end(ending: Ending): void;
  abstract close(): Promise<void>;
}
