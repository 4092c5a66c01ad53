/**
 * Every event of a chart, as closed unions grouped by their sender. Names are `noun.verb`: what happened or, for `*.close`
 * and `*.drain`, what is requested.
 */

/** Why a session ended. Retry and HTTP answers are chosen from this alone, never from a message. */
export type CloseReason =
  | 'client-closed'
  | 'initialize-timeout'
  | 'idle-timeout'
  | 'setup-timeout'
  | 'setup-failed'
  | 'claim-refused'
  | 'browser-failed'
  | 'browser-lost'
  | 'slow-client'
  /** A warm session that no client requested in time, or whose browser was lost. */
  | 'stale'
  | 'operator-closed'
  | 'server-draining'
  /** The node that served it is dead, or lost the ownership to another node. */
  | 'node-lost';

/** An error as data: an Error object survives neither JSON nor the move to another node. */
export interface Failure {
  /** A key of the error catalogue. */
  readonly reason: string;
  readonly message: string;
}

/** The kind of a JSON-RPC message. `initialize` is the request of that name; it counts as in flight like every request. */
export type MessageKind = 'initialize' | 'request' | 'notification' | 'response';

/** The outcome of a request, for logs, metrics and the inspector. */
export interface SettledRequest {
  /** The JSON-RPC id that the client chose. */
  readonly id: string | number;
  readonly method: string;
  /** The tool of a `tools/call`. */
  readonly tool: string | null;
  /** `failed`: a protocol error, or a tool result with `isError`. */
  readonly outcome: 'ok' | 'failed' | 'cancelled';
  /** For a failed one: the error that its client got, in one short line. */
  readonly error?: string;
  readonly durationMs: number;
  /** The address or path that the request names, without secrets. */
  readonly target?: string;
  /** The accepted deviations from the protocol or the tool's schema, and the profile of the client. */
  readonly tolerated?: readonly string[];
  readonly client?: string;
}

/** The client that a session serves. Issuer and user are null while the session is warm. */
export interface SessionClient {
  readonly issuer: string | null;
  readonly user: string | null;
  /** Whether the client can reattach after its stream was lost. Over legacy SSE it cannot. */
  readonly resumable: boolean;
  /** Its requests come by the handle of the session and need no `initialize` (MCP 2026-07-28). */
  readonly handshake?: 'none';
}

export type SessionTransportEvent =
  /** With `client` when a client is assigned to a warm session. */
  | { type: 'transport.attached'; client?: SessionClient }
  /** The client's stream is gone. */
  | { type: 'transport.detached'; because: 'client-closed' | 'slow-client' };

export type SessionClientEvent =
  /** The message itself waits in the session's inbox for the `deliver` action; the chart never sees its content. */
  | { type: 'message.received'; kind: MessageKind }
  /** A delivered request was answered, or was cancelled and needs no answer. */
  | { type: 'request.settled'; request: SettledRequest };

export type SessionBrowserEvent =
  | { type: 'browser.leased' }
  /** The browser died; the lease replaces it at the next tool that needs one. */
  | { type: 'browser.lost' }
  /** The lease failed for good. */
  | { type: 'browser.failed'; failure: Failure };

/** The request of a session to its browser lease. */
export interface BrowserLeaseEvent {
  readonly type: 'browser.wanted';
}

export type SessionSystemEvent = { type: 'session.drain' } | { type: 'session.close'; because: CloseReason };

export type SessionEvent = SessionTransportEvent | SessionClientEvent | SessionBrowserEvent | SessionSystemEvent;

export type BrowserEvent =
  /** From the connection actor. */
  | { type: 'connection.opened'; version: string }
  | { type: 'connection.failed'; failure: Failure }
  | { type: 'connection.lost'; failure: Failure }
  /** From the sessions that lease it. */
  | { type: 'browser.wanted' }
  | { type: 'browser.close' };

export type ServerEvent =
  /** From the listener actor. */
  | { type: 'listener.opened'; port: number }
  | { type: 'listener.failed'; failure: Failure }
  /** From the process edge or an embedder. */
  | { type: 'server.drain' };

/** A session and the number of its owner: each owner after the first has a higher one. */
export interface SessionTerm {
  readonly sessionId: string;
  readonly epoch: number;
}

export type OwnershipEvent =
  /** From the store. `write.fenced`: a write was refused, because this term is over. */
  | { type: 'term.granted'; term: SessionTerm }
  | { type: 'term.refused' }
  | { type: 'write.fenced' }
  /** From the session at this node. */
  | { type: 'snapshot.saved' }
  | { type: 'session.ended'; because: CloseReason }
  /** From the takeover. `failed`: it could not be restored, or the store was unreachable. */
  | { type: 'session.restored' }
  | { type: 'takeover.completed' }
  | { type: 'takeover.failed' }
  /** From the node: it stops, and leaves what can be restored to the others. */
  | { type: 'handoff.begun' }
  /** From the node: the store answers. */
  | { type: 'lease.renewed' };

export type NodeEvent =
  /** From the heartbeat. `expired`: no renewal succeeded within the time of a lease. */
  | { type: 'lease.renewed'; until: number }
  | { type: 'lease.expired' }
  /** From the orchestrator: sessions end; then every one has ended; then nothing of the node is left in the store. */
  | { type: 'node.drain' }
  | { type: 'node.leave' }
  | { type: 'node.left' };

export type LeaseEvent =
  /** From the session: a call needs a browser, a tool a process of its own; the session has ended. */
  | { type: 'browser.wanted' }
  | { type: 'move.wanted' }
  | { type: 'session.ended' }
  /** From the opening of a placement in a browser. */
  | { type: 'placement.opened' }
  | { type: 'placement.failed' }
  /** From the browser, from its check, and from another node that closed the context of the session in it. */
  | { type: 'browser.lost' }
  | { type: 'browser.hung' }
  | { type: 'context.closed' }
  /** From the move to a process of its own. */
  | { type: 'move.completed' }
  | { type: 'move.failed' };

/** The session creations within a sliding window, at one moment. */
export interface CreationWindow {
  readonly creations: number;
  readonly failures: number;
  /** Failures divided by creations, from 0 to 1; 0 without a creation. */
  readonly rate: number;
  /** The most frequent cause of the failures, a `CloseReason`; null without a failure. */
  readonly cause: string | null;
}

export type AlertEvent =
  /** From the creation counter: at each creation, and as the window slides. */
  { type: 'window.measured'; window: CreationWindow };

/** Every event type of a chart, for totality tests, event tables and the inspector. Checked against the types above. */
export const sessionEventTypes = [
  'transport.attached',
  'transport.detached',
  'message.received',
  'request.settled',
  'browser.leased',
  'browser.lost',
  'browser.failed',
  'session.drain',
  'session.close',
] as const satisfies readonly SessionEvent['type'][];

export const browserEventTypes = [
  'connection.opened',
  'connection.failed',
  'connection.lost',
  'browser.wanted',
  'browser.close',
] as const satisfies readonly BrowserEvent['type'][];

export const serverEventTypes = [
  'listener.opened',
  'listener.failed',
  'server.drain',
] as const satisfies readonly ServerEvent['type'][];

export const leaseEventTypes = [
  'browser.wanted',
  'move.wanted',
  'session.ended',
  'placement.opened',
  'placement.failed',
  'browser.lost',
  'browser.hung',
  'context.closed',
  'move.completed',
  'move.failed',
] as const satisfies readonly LeaseEvent['type'][];

export const nodeEventTypes = [
  'lease.renewed',
  'lease.expired',
  'node.drain',
  'node.leave',
  'node.left',
] as const satisfies readonly NodeEvent['type'][];

export const ownershipEventTypes = [
  'term.granted',
  'term.refused',
  'snapshot.saved',
  'session.restored',
  'takeover.completed',
  'takeover.failed',
  'write.fenced',
  'handoff.begun',
  'session.ended',
  'lease.renewed',
] as const satisfies readonly OwnershipEvent['type'][];

export const alertEventTypes = ['window.measured'] as const satisfies readonly AlertEvent['type'][];
