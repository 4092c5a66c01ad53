import type { CloseReason, Failure } from '../../machines/events.js';
import { Refusal, isReason } from '../errors/errors.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';
import type { SessionMemory } from '../mcp/responseMemory.js';

/** `handle`: no connection of its own; its clients name it with each request. */
export type TransportKind = 'sse' | 'streamable-http' | 'websocket' | 'stdio' | 'handle';

/** How a session ended, for its client. */
export interface CloseNotice {
  readonly closedBecause: CloseReason;
  /** The error for a client whose session was never announced. */
  readonly refusal: Refusal;
}

/**
 * The transport of a session as the session sees it: the outgoing direction to one client. The transport owns its sockets.
 * The session calls `announce` once (S2), `deliver` only after it, `end` once and nothing afterwards (S7):
 *
 *     announce -> deliver, requestCancelled, suspend … -> end -> flushed
 *
 * A lost stream is reported as the event `transport.detached`, not as an error. `deliver` throws only for a message that
 * cannot be written as JSON.
 */
export interface Channel {
  readonly kind: TransportKind;
  /** Whether the client can resume the session after its stream was lost. */
  readonly resumable: boolean;
  /** The bytes of answers that the client has not read. */
  readonly memory: SessionMemory;
  /** Tells the client its session id. Called on entry to `connected`, and from nowhere else. */
  announce(sessionId: string): void;
  deliver(message: JSONRPCMessage, relatedTo?: RequestId): void;
  /** The client cancelled a request: it gets no response. For transports that keep a stream open per response. */
  requestCancelled?(request: RequestId): void;
  /** Ends the connection on which a response is awaited; the client reconnects after `retryMs`. For resumable transports. */
  suspend?(request: RequestId, retryMs: number): void;
  /** What another node needs to restore this channel, as JSON. For resumable transports. */
  snapshot?(): unknown;
  end(ending: CloseNotice): void;
  /** Resolves, after `end`, when all messages are written to the event log. For transports that have one. */
  readonly flushed?: Promise<void>;
}

/** How a session ended. */
export interface SessionEnd {
  readonly closedBecause: CloseReason | null;
  /** Handed off: another node serves it. */
  readonly isHandedOff: boolean;
}

/** The refusal of a request to an ended session; the client of a handed-off one is told to retry. */
export function refusalAfterEnd({ closedBecause, isHandedOff }: SessionEnd): Refusal {
  if (isHandedOff && closedBecause === 'server-draining') return new Refusal('draining');
  return refusalForReason(closedBecause);
}

function refusalForReason(closedBecause: CloseReason | null): Refusal {
  return new Refusal('closed', closedBecause === null ? {} : { closedBecause });
}

/** The notice for the channel, with the cause from the error catalogue. */
export function closeNotice(closedBecause: CloseReason, failure: Failure | null): CloseNotice {
  let made: Refusal | undefined;
  return {
    closedBecause,
    // Nobody reads that of a session that its client left.
    get refusal() {
      return (made ??= refusalOfEnd(closedBecause, failure));
    },
  };
}

function refusalOfEnd(closedBecause: CloseReason, failure: Failure | null): Refusal {
  if (failure !== null) {
    const reason = isReason(failure.reason) ? failure.reason : 'setup_failed';
    return new Refusal(reason, { detail: failure.message });
  }
  if (closedBecause === 'setup-timeout') return new Refusal('setup_timeout');
  if (closedBecause === 'server-draining') return new Refusal('draining');
  return refusalForReason(closedBecause);
}
