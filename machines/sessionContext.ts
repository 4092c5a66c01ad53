import type { CloseReason, Failure, SessionClient, SessionEvent } from './events.js';

/** What a session is created with. JSON: a session can be restored on another machine from this and its state. */
export interface SessionInput extends SessionClient {
  readonly id: string;
  /** eager: announced only when the browser is ready. lazy: the browser is leased at the first tool that needs it. */
  readonly lease: 'eager' | 'lazy';
  /** Messages that are held until the session is connected; with 0 they are refused. */
  readonly queueLimit: number;
}

export interface SessionContext extends SessionInput {
  readonly attached: boolean;
  readonly browser: 'leasing' | 'deferred' | 'ready' | 'lost';
  /** Messages that wait for `connected`. */
  readonly held: number;
  /** Whether `initialize` has arrived. From `connected` on the state says so: only `active` comes after it. */
  readonly handshake: 'awaited' | 'begun';
  /** Requests that were taken and not yet answered. */
  readonly inFlight: number;
  readonly closedBecause: CloseReason | null;
  readonly failure: Failure | null;
}

export interface SessionOutput {
  readonly closedBecause: CloseReason;
  readonly failure: Failure | null;
}

/** `early`: the client cannot know the id yet. `open`: messages are delivered. `draining`: no new requests. */
export type SessionTag = 'early' | 'open' | 'draining';

export const isInitialize = (event: SessionEvent): boolean =>
  event.type === 'message.received' && event.kind === 'initialize';

export const isRequest = (event: SessionEvent): boolean =>
  event.type === 'message.received' && (event.kind === 'request' || event.kind === 'initialize');

/** Early, a message is held within the bound, or else a declared no-op: the door refuses it. Nothing can be settled. */
export const early = {
  'message.received': [{ guard: 'mayHold', actions: ['countHeld', 'countMessage'] }, {}],
  'request.settled': {},
} as const;
