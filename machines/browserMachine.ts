import { assign, setup } from 'xstate';
import type { BrowserEvent, Failure } from './events.js';
import { missingCallback, missingDelay } from './placeholders.js';

export interface BrowserInput {
  readonly id: string;
  /** `launch`: a process of this server. `attach`: a browser that runs elsewhere, reached by its debugging endpoint. */
  readonly mode: 'launch' | 'attach';
  /** Attempts to reconnect a lost browser before it counts as failed. */
  readonly maxAttempts: number;
}

export interface BrowserContext extends BrowserInput {
  /** Attempts since the browser was last ready. */
  readonly attempts: number;
  readonly wasReady: boolean;
  readonly version: string | null;
  readonly failure: Failure | null;
}

const chart = setup({
  types: {
    context: {} as BrowserContext,
    events: {} as BrowserEvent,
    input: {} as BrowserInput,
  },
  actors: {
    /** Owns the process or the socket: opens it on start, closes it on stop, also when it opens late. */
    connection: missingCallback<{ type: 'none' }, { id: string }>('connection'),
    /** Pings the browser periodically; one that hangs is reported as lost. */
    heartbeat: missingCallback<{ type: 'none' }, undefined>('heartbeat'),
  },
  actions: {
    countAttempt: assign({ attempts: ({ context }) => context.attempts + 1 }),
    resetAttempts: assign({ attempts: 0, wasReady: true, failure: null }),
    recordVersion: assign({ version: (_, params: { version: string }) => params.version }),
    recordFailure: assign({ failure: (_, params: { failure: Failure }) => params.failure }),
  },
  guards: {
    canRetry: ({ context }) => context.wasReady && context.attempts < context.maxAttempts,
  },
  delays: {
    connectTimeout: missingDelay('connectTimeout'),
    /** Grows with `attempts`. */
    backoff: missingDelay('backoff'),
  },
});

const recordEventFailure = {
  type: 'recordFailure',
  params: ({ event }: { event: { failure: Failure } }) => ({ failure: event.failure }),
} as const;

const recordTimeout = {
  type: 'recordFailure',
  params: { failure: { reason: 'browser_failed', message: 'The browser did not answer in time.' } },
} as const;

/**
 * One browser, launched or attached, for as long as a session leases it. A browser that was never ready fails at once, so
 * that the waiting session gets the cause; one that was ready is retried:
 *
 *     open.connecting -> open.ready -> lost -> (backoff) -> open.connecting
 *     open.connecting -> failed -> (the next lease request) -> open.connecting
 *     any state -> closed, when no session leases it
 */
export const browserMachine = chart.createMachine({
  id: 'browser',
  description: 'One browser process, or the connection to one.',
  context: ({ input }) => ({ ...input, attempts: 0, wasReady: false, version: null, failure: null }),
  initial: 'open',
  on: { 'browser.close': '.closed' },
  states: {
    open: {
      description: 'The process or the socket exists.',
      invoke: { src: 'connection', id: 'connection', input: ({ context }) => ({ id: context.id }) },
      initial: 'connecting',
      states: {
        connecting: {
          description: 'The browser is being launched or connected to; no answer yet.',
          entry: 'countAttempt',
          after: { connectTimeout: { target: '#browser.unsettled', actions: recordTimeout } },
          on: {
            'connection.opened': {
              target: 'ready',
              actions: {
                type: 'recordVersion',
                params: ({ event }: { event: { version: string } }) => ({ version: event.version }),
              },
            },
          },
        },
        ready: {
          description: 'The browser answers; sessions lease contexts, pages and extensions in it.',
          entry: 'resetAttempts',
          invoke: { src: 'heartbeat', id: 'heartbeat' },
          on: { 'connection.opened': {} },
        },
      },
      on: {
        'connection.failed': { target: 'unsettled', actions: recordEventFailure },
        'connection.lost': { target: 'unsettled', actions: recordEventFailure },
        'browser.wanted': {},
      },
    },
    unsettled: {
      description: 'Transient: lost if it can be retried, failed otherwise.',
      always: [{ guard: 'canRetry', target: 'lost' }, { target: 'failed' }],
    },
    lost: {
      description: 'The browser died or cannot be reached; it is retried with exponential backoff.',
      after: { backoff: 'open' },
      on: {
        'browser.wanted': {},
        'connection.opened': {},
        'connection.failed': {},
        'connection.lost': {},
      },
    },
    failed: {
      description: 'The browser is unavailable; the failure says why. The next lease request retries.',
      on: {
        'browser.wanted': 'open',
        'connection.opened': {},
        'connection.failed': {},
        'connection.lost': {},
      },
    },
    closed: {
      description: 'No session leases the browser: process, profile folder and socket are released.',
      type: 'final',
    },
  },
});
