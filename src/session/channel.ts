import type { CloseReason, Failure } from '../../machines/events.js';
import { Refusal, isReason } from '../errors/errors.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';

export type TransportKind = 'sse' | 'streamable-http' | 'websocket' | 'stdio';

/** How a session ended, as its channel tells the client. */
export interface CloseNotice {
  readonly closedBecause: CloseReason;
  /** What a client that was never told its session id hears instead. */
  readonly refusal: Refusal;
}

/**
 * What a session needs of the transport that carries it: the way out to one client. The transport owns its sockets; the
 * session calls `announce` once (S2), `deliver` only after it, `end` once and nothing after that (S7). None of them throws:
 * a stream that is gone is reported as the event `transport.detached`.
 */
export interface Channel {
  readonly kind: TransportKind;
  /** Whether the client may come back to the same session after its stream was lost. */
  readonly resumable: boolean;
  /** Tells the client its session id. Called on entry to `connected`, and from nowhere else. */
  announce(sessionId: string): void;
  deliver(message: JSONRPCMessage, relatedTo?: RequestId): void;
  /** A request will get no answer: the client cancelled it. For transports that hold something open for each answer. */
  requestCancelled?(request: RequestId): void;
  /**
   * Ends the socket on which an answer is awaited; the client comes back for it after `retryMs`. For transports whose
   * clients can.
   */
  suspend?(request: RequestId, retryMs: number): void;
  /** What another node needs to go on where this one stops, as JSON. For transports whose clients can come back. */
  snapshot?(): unknown;
  end(ending: CloseNotice): void;
  /** Resolves, after `end`, when the last that was said is written down. For transports that write things down. */
  readonly flushed?: Promise<void>;
}

/** How a session ended that can be talked to no more. */
export interface SessionEnd {
  readonly closedBecause: CloseReason | null;
  /** Another node goes on with it: it has ended at this one alone. */
  readonly isHandedOff: boolean;
}

/** Why a session can be talked to no more. One that a leaving node leaves to the others goes on: its client is to come again. */
export function refusalAfterEnd({ closedBecause, isHandedOff }: SessionEnd): Refusal {
  if (isHandedOff && closedBecause === 'server-draining') return new Refusal('draining');
  return refusalForReason(closedBecause);
}

function refusalForReason(closedBecause: CloseReason | null): Refusal {
  return new Refusal('closed', closedBecause === null ? {} : { closedBecause });
}

/** What a client that never got its session id is told: the cause, by the error catalogue. */
export function closeNotice(closedBecause: CloseReason, failure: Failure | null): CloseNotice {
  if (failure !== null) {
    const reason = isReason(failure.reason) ? failure.reason : 'setup_failed';
    return { closedBecause, refusal: new Refusal(reason, { detail: failure.message }) };
  }
  if (closedBecause === 'setup-timeout') return { closedBecause, refusal: new Refusal('setup_timeout') };
  if (closedBecause === 'server-draining') return { closedBecause, refusal: new Refusal('draining') };
  return { closedBecause, refusal: refusalForReason(closedBecause) };
}
