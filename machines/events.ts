/**
 * Every event a chart knows, as closed unions grouped by who sends them. Names are `noun.verb`: what happened, or, for
 * `*.close` and `*.drain`, what is asked.
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
  /** A warm session that no client came for in time, or whose browser was lost. */
  | 'stale'
  | 'operator-closed'
  | 'server-draining'
  /** The node that served it is gone, or lost it to another one. */
  | 'node-lost';

/** What went wrong, as data: an error survives neither JSON nor a second node. */
export interface Failure {
  /** A key of the error catalogue. */
  readonly reason: string;
  readonly message: string;
}

/** What kind of JSON-RPC message arrived. `initialize` is the request of that name; both are counted as in flight. */
export type MessageKind = 'initialize' | 'request' | 'notification' | 'response';

/** How a request ended: what logs, metrics and the inspector know of it. */
export interface SettledRequest {
  /** The client's own id of it. */
  readonly id: string | number;
  readonly method: string;
  /** The tool of a `tools/call`. */
  readonly tool: string | null;
  /** `failed`: a protocol error, or a tool result with `isError`. */
  readonly outcome: 'ok' | 'failed' | 'cancelled';
  readonly durationMs: number;
}

/** Whom a session serves. Nobody's name stands in it while the session is warm. */
export interface SessionClient {
  readonly issuer: string | null;
  readonly user: string | null;
  /** Whether a lost stream may be attached again. A legacy SSE stream cannot. */
  readonly resumable: boolean;
}

export type SessionTransportEvent =
  /** With `client` when a warm session is handed over: only then it is known whose it is. */
  | { type: 'transport.attached'; client?: SessionClient }
  /** The client's stream is gone. */
  | { type: 'transport.detached'; because: 'client-closed' | 'slow-client' };

export type SessionClientEvent =
  /** The message itself waits in the session's inbox for the `deliver` action; the chart never sees its content. */
  | { type: 'message.received'; kind: MessageKind }
  /** A request that was delivered has been answered, or needs no answer any more. */
  | { type: 'request.settled'; request: SettledRequest };

export type SessionBrowserEvent =
  | { type: 'browser.leased' }
  /** The browser died; the lease replaces it at the next tool that needs one. */
  | { type: 'browser.lost' }
  /** The lease cannot be had, now or ever. */
  | { type: 'browser.failed'; failure: Failure };

/** What a session's lease is asked for. */
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
  /** From whoever leases it. */
  | { type: 'browser.wanted' }
  | { type: 'browser.close' };

export type ServerEvent =
  /** From the listener actor. */
  | { type: 'listener.opened'; port: number }
  | { type: 'listener.failed'; failure: Failure }
  /** From the process edge or an embedder. */
  | { type: 'server.drain' };

/** The session creations of a sliding window, as they are counted at one moment. */
export interface CreationWindow {
  readonly creations: number;
  readonly failures: number;
  /** Failures of all creations, from 0 to 1; 0 without a creation. */
  readonly rate: number;
  /** Why most of the failures happened, as `CloseReason` names it; null without a failure. */
  readonly cause: string | null;
}

export type AlertEvent =
  /** From whoever watches creations: at each of them, and as the window slides on. */
  { type: 'window.measured'; window: CreationWindow };

/** Every event type of a machine, for totality tests, tables and the inspector. Closed by the types above. */
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

export const alertEventTypes = ['window.measured'] as const satisfies readonly AlertEvent['type'][];
