import { assign, sendTo, setup } from 'xstate';
import type { BrowserLeaseEvent, ClosedBecause, Failure, SessionEvent } from './events.js';
import { missingAction, missingCallback, missingDelay, missingPromise } from './notProvided.js';

/** What a session is created with. JSON: a session can be restored on another machine from this and its state. */
export interface SessionInput {
  readonly id: string;
  readonly issuer: string;
  readonly user: string;
  /** eager: announced only when the browser is ready. lazy: the browser is leased at the first tool that needs it. */
  readonly lease: 'eager' | 'lazy';
  /** Whether a lost stream may be attached again. A legacy SSE stream cannot. */
  readonly resumable: boolean;
}

export interface SessionContext extends SessionInput {
  readonly attached: boolean;
  readonly browser: 'leasing' | 'deferred' | 'ready' | 'lost';
  /** Requests that were delivered and not yet answered. */
  readonly inFlight: number;
  readonly closedBecause: ClosedBecause | null;
  readonly failure: Failure | null;
}

export interface SessionOutput {
  readonly closedBecause: ClosedBecause;
  readonly failure: Failure | null;
}

/** `early`: the client cannot know the id yet. `open`: messages are delivered. `draining`: no new requests. */
export type SessionTag = 'early' | 'open' | 'draining';

const chart = setup({
  types: {
    context: {} as SessionContext,
    events: {} as SessionEvent,
    input: {} as SessionInput,
    output: {} as SessionOutput,
    tags: {} as SessionTag,
  },
  actors: {
    /** Owns the session's browser lease from creation to close. */
    browserLease: missingCallback<BrowserLeaseEvent, { id: string; lease: 'eager' | 'lazy' }>('browserLease'),
    /** Prepares the session's tools: the groups it asked for, and whatever an embedder adds. */
    registerTools: missingPromise<void, { id: string }>('registerTools'),
    /** Claims the session for its user in the directory. Comes before every announcement. */
    claim: missingPromise<void, { id: string }>('claim'),
  },
  actions: {
    /** Tells the client its session id. Named on the entry of `connected` and nowhere else. */
    announce: missingAction('announce'),
    /** Hands the messages that wait in the inbox to the MCP server, in the order of arrival. */
    deliver: missingAction('deliver'),
    /** Asks the lease for a browser to replace the lost one. */
    wantBrowser: sendTo('browserLease', { type: 'browser.wanted' } satisfies BrowserLeaseEvent),
    markAttached: assign({ attached: true }),
    markDetached: assign({ attached: false }),
    markBrowserReady: assign({ browser: 'ready' }),
    markBrowserLost: assign({ browser: 'lost' }),
    countMessage: assign({
      inFlight: ({ context, event }) =>
        event.type === 'message.received' && event.kind === 'request' ? context.inFlight + 1 : context.inFlight,
    }),
    countSettled: assign({ inFlight: ({ context }) => Math.max(0, context.inFlight - 1) }),
    recordClose: assign({
      closedBecause: (_, params: { because: ClosedBecause; failure?: Failure }) => params.because,
      failure: (_, params) => params.failure ?? null,
    }),
    /** Tells the client that the session ends, and why; then closes its stream. */
    dismiss: missingAction('dismiss'),
  },
  guards: {
    isAttached: ({ context }) => context.attached,
    isLazy: ({ context }) => context.lease === 'lazy',
    isBrowserLost: ({ context }) => context.browser === 'lost',
    isResumable: ({ context }) => context.resumable,
    isRequest: ({ event }) => event.type === 'message.received' && event.kind === 'request',
    hasNoRequests: ({ context }) => context.inFlight === 0,
  },
  delays: {
    setupTimeout: missingDelay('setupTimeout'),
    initializeTimeout: missingDelay('initializeTimeout'),
    idleTimeout: missingDelay('idleTimeout'),
    resumeGrace: missingDelay('resumeGrace'),
    drainTimeout: missingDelay('drainTimeout'),
  },
});

/** The recorded reason of a close that the chart itself decides. */
const because = (reason: ClosedBecause) => ({ type: 'recordClose', params: { because: reason } }) as const;

/** The recorded reason of a close that the event asks for. */
const asAsked = {
  type: 'recordClose',
  params: ({ event }: { event: { because: ClosedBecause } }) => ({ because: event.because }),
} as const;

/** The recorded reason of a close that a failing browser or setup step causes, with what it said. */
const withFailure = (reason: ClosedBecause) =>
  ({
    type: 'recordClose',
    params: ({ event }: { event: { failure: Failure } | { error: unknown } }) => ({
      because: reason,
      failure: 'failure' in event ? event.failure : failureOf(event.error),
    }),
  }) as const;

function failureOf(error: unknown): Failure {
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'setup_failed';
  return { reason, message: error instanceof Error ? error.message : String(error) };
}

/** Early, nobody can know the id: these are declared no-ops, refused at the door as `not_ready`. */
const ignoredEarly = { 'message.received': {}, 'request.settled': {} } as const;

/**
 * One client session, from the moment its id exists to the release of everything it owned.
 *
 * Promises S1 (announce after ready) and S3 (delivery only in `connected` and `active`) can be read off this chart: one
 * state names `announce`, and only states that a client can know of name `deliver`.
 */
export const sessionMachine = chart.createMachine({
  id: 'session',
  description: 'One MCP client session.',
  context: ({ input }) => ({
    ...input,
    attached: false,
    browser: input.lease === 'lazy' ? 'deferred' : 'leasing',
    inFlight: 0,
    closedBecause: null,
    failure: null,
  }),
  output: ({ context }) => ({
    closedBecause: context.closedBecause ?? 'operator-closed',
    failure: context.failure,
  }),
  invoke: {
    src: 'browserLease',
    id: 'browserLease',
    input: ({ context }) => ({ id: context.id, lease: context.lease }),
  },
  initial: 'created',
  on: {
    'session.close': { target: '.closed', actions: asAsked },
  },
  states: {
    created: {
      description: 'The id exists in the directory; the browser is being leased and the tools registered.',
      tags: 'early',
      type: 'parallel',
      states: {
        browser: {
          description: 'The browser that this session will debug.',
          initial: 'leasing',
          states: {
            leasing: {
              description: 'Waits for a browser context, process or profile of its own.',
              always: { guard: 'isLazy', target: 'deferred' },
              on: { 'browser.leased': { target: 'ready', actions: 'markBrowserReady' } },
            },
            ready: { description: 'The browser answers.', type: 'final' },
            deferred: { description: 'Leased at the first tool that needs it.', type: 'final' },
          },
        },
        tools: {
          description: 'What the client will be able to call.',
          initial: 'registering',
          states: {
            registering: {
              description: 'Selects the tool groups and runs the per-session setup.',
              invoke: {
                src: 'registerTools',
                input: ({ context }) => ({ id: context.id }),
                onDone: 'registered',
                onError: { target: '#session.closed', actions: withFailure('setup-failed') },
              },
            },
            registered: { description: 'Every tool can be listed and called.', type: 'final' },
          },
        },
      },
      onDone: 'tools-registered',
      after: { setupTimeout: { target: 'closed', actions: because('setup-timeout') } },
      on: {
        'transport.attached': { actions: 'markAttached' },
        'transport.detached': { target: 'closed', actions: asAsked },
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.failed': { target: 'closed', actions: withFailure('browser-failed') },
        'browser.lost': { actions: ['markBrowserLost', 'wantBrowser'] },
        'session.drain': { target: 'closed', actions: because('server-draining') },
        ...ignoredEarly,
      },
    },
    'tools-registered': {
      description: 'Everything a client could ask for exists; a warm session waits here for its client.',
      tags: 'early',
      initial: 'waiting',
      states: {
        waiting: {
          description: 'No transport yet.',
          always: [
            { guard: 'isBrowserLost', target: 'leasing' },
            { guard: 'isAttached', target: 'claiming' },
          ],
          on: { 'transport.attached': { target: 'claiming', actions: 'markAttached' } },
        },
        leasing: {
          description: 'The browser was lost before the client could be told; another one is being leased.',
          after: { setupTimeout: { target: '#session.closed', actions: because('setup-timeout') } },
          on: {
            'browser.leased': { target: 'waiting', actions: 'markBrowserReady' },
            'transport.attached': { actions: 'markAttached' },
            'browser.lost': {},
          },
        },
        claiming: {
          description: 'The session is being claimed for its user in the directory.',
          invoke: {
            src: 'claim',
            input: ({ context }) => ({ id: context.id }),
            onDone: '#session.connected',
            onError: { target: '#session.closed', actions: withFailure('claim-refused') },
          },
          on: { 'transport.attached': {} },
        },
      },
      on: {
        'transport.detached': { target: 'closed', actions: asAsked },
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.lost': { target: '.leasing', actions: ['markBrowserLost', 'wantBrowser'] },
        'browser.failed': { target: 'closed', actions: withFailure('browser-failed') },
        'session.drain': { target: 'closed', actions: because('server-draining') },
        ...ignoredEarly,
      },
    },
    connected: {
      description: 'The client has been told its session id; nothing has arrived yet.',
      tags: 'open',
      entry: 'announce',
      after: { initializeTimeout: { target: 'closed', actions: because('initialize-timeout') } },
      on: {
        'message.received': { target: 'active', actions: ['countMessage', 'deliver'] },
        'transport.detached': { target: 'closed', actions: asAsked },
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.lost': { actions: 'markBrowserLost' },
        'browser.failed': { target: 'closed', actions: withFailure('browser-lost') },
        'session.drain': { target: 'closed', actions: because('server-draining') },
        'transport.attached': {},
        'request.settled': {},
      },
    },
    active: {
      description: 'Messages flow.',
      initial: 'serving',
      states: {
        serving: {
          description: 'The client is there and its messages are handed over as they come.',
          tags: 'open',
          initial: 'choosing',
          states: {
            choosing: {
              description: 'Instant: busy if a request is in flight.',
              always: [{ guard: 'hasNoRequests', target: 'idle' }, { target: 'busy' }],
            },
            idle: {
              description: 'No request in flight.',
              after: { idleTimeout: { target: '#session.closed', actions: because('idle-timeout') } },
            },
            busy: { description: 'At least one request in flight.' },
          },
          on: {
            'message.received': { target: '.choosing', actions: ['countMessage', 'deliver'] },
            'request.settled': { target: '.choosing', actions: 'countSettled' },
            'transport.detached': [
              { guard: 'isResumable', target: 'detached', actions: 'markDetached' },
              { target: '#session.closed', actions: asAsked },
            ],
            'session.drain': 'draining',
            'transport.attached': {},
          },
        },
        detached: {
          description: 'The stream is lost; the session is kept for a while so that it can be resumed.',
          tags: 'open',
          after: { resumeGrace: { target: '#session.closed', actions: because('client-closed') } },
          on: {
            'transport.attached': { target: 'serving', actions: 'markAttached' },
            'message.received': { actions: ['countMessage', 'deliver'] },
            'request.settled': { actions: 'countSettled' },
            'session.drain': { target: '#session.closed', actions: because('server-draining') },
            'transport.detached': {},
          },
        },
        draining: {
          description: 'Requests in flight are finished, new ones are refused.',
          tags: 'draining',
          always: { guard: 'hasNoRequests', target: '#session.closed', actions: because('server-draining') },
          after: { drainTimeout: { target: '#session.closed', actions: because('server-draining') } },
          on: {
            'message.received': [{ guard: 'isRequest' }, { actions: 'deliver' }],
            'request.settled': { actions: 'countSettled' },
            'transport.detached': { target: '#session.closed', actions: because('server-draining') },
            'transport.attached': {},
            'session.drain': {},
          },
        },
      },
      on: {
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.lost': { actions: 'markBrowserLost' },
        'browser.failed': { target: 'closed', actions: withFailure('browser-lost') },
      },
    },
    closed: {
      description: 'Everything the session owned is released; the output says why it ended.',
      type: 'final',
      entry: 'dismiss',
    },
  },
});
