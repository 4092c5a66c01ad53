import { assign, sendTo, setup } from 'xstate';
import type { BrowserLeaseEvent, CloseReason, Failure, SessionEvent, SessionClient } from './events.js';
import { missingAction, missingCallback, missingDelay, missingPromise } from './placeholders.js';

/** What a session is created with. JSON: another node restores a session from this and its state. */
export interface SessionInput extends SessionClient {
  readonly id: string;
  /** eager: announced only when the browser is ready. lazy: the browser is leased at the first tool that needs it. */
  readonly lease: 'eager' | 'lazy';
  /** Messages that are queued until the session is connected; with 0 they are refused. */
  readonly queueLimit: number;
  /** none: no embedder prepares the session and no directory has to claim it; it waits only for its browser. */
  readonly setup?: 'none' | undefined;
}

export interface SessionContext extends Omit<SessionInput, 'handshake'> {
  readonly attached: boolean;
  readonly browser: 'leasing' | 'deferred' | 'ready' | 'lost';
  /** Messages in the queue, waiting for `connected`. */
  readonly held: number;
  /** Whether `initialize` has arrived. After `connected` the state says so: `active` is entered by it, or without one. */
  readonly handshake: 'awaited' | 'begun' | 'none';
  /** Requests that were accepted and not yet answered. */
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

/** Before `connected`, a message is queued within the limit, otherwise a declared no-op: the caller refuses it. */
export const early = {
  'message.received': [{ guard: 'canQueue', actions: ['countQueued', 'countMessage'] }, {}],
  'request.settled': {},
} as const;

/** Records the reason of a close that the chart decides. */
export const closeReason = (reason: CloseReason) => ({ type: 'recordClose', params: { because: reason } }) as const;

/** Records the reason of a close that the event requests. */
export const closeReasonOfEvent = {
  type: 'recordClose',
  params: ({ event }: { event: { because: CloseReason } }) => ({ because: event.because }),
} as const;

/** Records the reason of a close that a failed browser or setup step causes, with its failure. */
export const closeReasonWithFailure = (reason: CloseReason) =>
  ({
    type: 'recordClose',
    params: ({ event }: { event: { failure: Failure } | { error: unknown } }) => ({
      because: reason,
      failure: 'failure' in event ? event.failure : toFailure(event.error),
    }),
  }) as const;

function toFailure(error: unknown): Failure {
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'setup_failed';
  return { reason, message: error instanceof Error ? error.message : String(error) };
}

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
    /** Prepares the session's tools: the selected groups, and what an embedder adds. */
    registerTools: missingPromise<void, { id: string }>('registerTools'),
    /** Pings the browser of a warm session before its client is claimed. */
    checkBrowser: missingPromise<void, { id: string }>('checkBrowser'),
    /** Claims the session for its user in the directory. Precedes every announcement. */
    claim: missingPromise<void, { id: string }>('claim'),
  },
  actions: {
    /** Tells the client its session id. Named on the entry of `connected` and nowhere else. */
    announce: missingAction('announce'),
    /** Delivers the queued and inbox messages to the MCP server, in the order of arrival. */
    deliver: missingAction('deliver'),
    /** Requests a replacement for the lost browser from the lease. */
    requestBrowser: sendTo('browserLease', { type: 'browser.wanted' } satisfies BrowserLeaseEvent),
    markAttached: assign(({ event }) => ({ attached: true, ...('client' in event && event.client) })),
    markDetached: assign({ attached: false }),
    markBrowserReady: assign({ browser: 'ready' }),
    markBrowserLost: assign({ browser: 'lost' }),
    countMessage: assign(({ context, event }) => ({
      inFlight: isRequest(event) ? context.inFlight + 1 : context.inFlight,
      handshake: isInitialize(event) ? 'begun' : context.handshake,
    })),
    countQueued: assign({ held: ({ context }) => context.held + 1 }),
    clearQueued: assign({ held: 0 }),
    countSettled: assign({ inFlight: ({ context }) => Math.max(0, context.inFlight - 1) }),
    recordClose: assign({
      closedBecause: (_, params: { because: CloseReason; failure?: Failure }) => params.because,
      failure: (_, params) => params.failure ?? null,
    }),
    /** Ends requests in flight, reports the close reason and ends the channel. */
    terminate: missingAction('terminate'),
  },
  guards: {
    isAttached: ({ context }) => context.attached,
    isLazy: ({ context }) => context.lease === 'lazy',
    needsNoSetup: ({ context }) => context.setup === 'none',
    /** Neither set-up nor browser is waited for, and there is no browser to check. */
    awaitsNothing: ({ context }) => context.setup === 'none' && context.browser === 'deferred',
    isAttachedAndSetUp: ({ context }) => context.setup === 'none' && context.attached,
    isBrowserLost: ({ context }) => context.browser === 'lost',
    isResumable: ({ context }) => context.resumable,
    canQueue: ({ context }) => context.held < context.queueLimit,
    hasQueued: ({ context }) => context.held > 0,
    awaitsNoInitialize: ({ context }) => context.handshake !== 'awaited',
    isInitialize: ({ event }) => isInitialize(event),
    isRequest: ({ event }) => isRequest(event),
    hasNoRequests: ({ context }) => context.inFlight === 0,
    hasRequests: ({ context }) => context.inFlight > 0,
    isLastRequest: ({ context }) => context.inFlight === 1,
  },
  delays: {
    setupTimeout: missingDelay('setupTimeout'),
    initializeTimeout: missingDelay('initializeTimeout'),
    idleTimeout: missingDelay('idleTimeout'),
    resumeGrace: missingDelay('resumeGrace'),
    drainTimeout: missingDelay('drainTimeout'),
  },
});

/**
 * One client session, from the creation of its id to the release of everything it owned:
 *
 *     created -> tools-registered -> connected -> active -> closed
 *                (check, claim)      (announce)   (serving <-> detached, draining)
 *
 * Every state can go to `closed`. An actor is invoked only for what has to be waited for. Promises S1 (announce after ready)
 * and S3 (delivery only in `connected` and `active`) can be read off this chart: one state names `announce`, and only states
 * that a client can know of name `deliver`.
 */
export const sessionMachine = chart.createMachine({
  id: 'session',
  description: 'One MCP client session.',
  context: ({ input }) => ({
    ...input,
    attached: false,
    browser: input.lease === 'lazy' ? 'deferred' : 'leasing',
    held: 0,
    handshake: input.handshake ?? 'awaited',
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
    'session.close': { target: '.closed', actions: closeReasonOfEvent },
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
          description: 'The tools that the client will be able to call.',
          initial: 'unregistered',
          states: {
            unregistered: {
              description: 'Left at once: registers only what has to be waited for.',
              always: [{ guard: 'needsNoSetup', target: 'registered' }, { target: 'registering' }],
            },
            registering: {
              description: 'Selects the tool groups and runs the per-session setup.',
              invoke: {
                src: 'registerTools',
                input: ({ context }) => ({ id: context.id }),
                onDone: 'registered',
                onError: { target: '#session.closed', actions: closeReasonWithFailure('setup-failed') },
              },
            },
            registered: { description: 'Every tool can be listed and called.', type: 'final' },
          },
        },
      },
      onDone: 'tools-registered',
      after: { setupTimeout: { target: 'closed', actions: closeReason('setup-timeout') } },
      on: {
        'transport.attached': { actions: 'markAttached' },
        'transport.detached': { target: 'closed', actions: closeReasonOfEvent },
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.failed': { target: 'closed', actions: closeReasonWithFailure('browser-failed') },
        'browser.lost': { actions: ['markBrowserLost', 'requestBrowser'] },
        'session.drain': { target: 'closed', actions: closeReason('server-draining') },
        ...early,
      },
    },
    'tools-registered': {
      description: 'Browser and tools are ready; a warm session waits here for its client.',
      tags: 'early',
      initial: 'waiting',
      states: {
        waiting: {
          description: 'No client is attached yet.',
          always: [
            { guard: 'isBrowserLost', target: 'leasing' },
            { guard: 'isAttachedAndSetUp', target: '#session.connected' },
            { guard: 'isAttached', target: 'claiming' },
          ],
          on: {
            'transport.attached': [
              { guard: 'awaitsNothing', target: '#session.connected', actions: 'markAttached' },
              { target: 'checking', actions: 'markAttached' },
            ],
          },
        },
        checking: {
          description: 'A client was assigned to a warm session; its browser is pinged.',
          invoke: {
            src: 'checkBrowser',
            input: ({ context }) => ({ id: context.id }),
            onDone: [{ guard: 'needsNoSetup', target: '#session.connected' }, { target: 'claiming' }],
            onError: { target: 'leasing', actions: ['markBrowserLost', 'requestBrowser'] },
          },
        },
        leasing: {
          description: 'The browser was lost before the announcement; another one is being leased.',
          after: { setupTimeout: { target: '#session.closed', actions: closeReason('setup-timeout') } },
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
            onError: { target: '#session.closed', actions: closeReasonWithFailure('claim-refused') },
          },
        },
      },
      on: {
        'transport.attached': {},
        'transport.detached': { target: 'closed', actions: closeReasonOfEvent },
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.lost': [
          { guard: 'isAttached', target: '.leasing', actions: ['markBrowserLost', 'requestBrowser'] },
          { target: 'closed', actions: closeReason('stale') },
        ],
        'browser.failed': { target: 'closed', actions: closeReasonWithFailure('browser-failed') },
        'session.drain': { target: 'closed', actions: closeReason('server-draining') },
        ...early,
      },
    },
    connected: {
      description:
        'The session id is announced; until the client sends initialize, the server refuses everything but that and ping.',
      tags: 'open',
      entry: 'announce',
      always: [
        { guard: 'awaitsNoInitialize', target: 'active', actions: ['deliver', 'clearQueued'] },
        { guard: 'hasQueued', actions: ['deliver', 'clearQueued'] },
      ],
      after: { initializeTimeout: { target: 'closed', actions: closeReason('initialize-timeout') } },
      on: {
        'message.received': [
          { guard: 'isInitialize', target: 'active', actions: ['countMessage', 'deliver'] },
          { actions: ['countMessage', 'deliver'] },
        ],
        'transport.detached': { target: 'closed', actions: closeReasonOfEvent },
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.lost': { actions: 'markBrowserLost' },
        'browser.failed': { target: 'closed', actions: closeReasonWithFailure('browser-lost') },
        'session.drain': { target: 'closed', actions: closeReason('server-draining') },
        'transport.attached': {},
        'request.settled': { actions: 'countSettled' },
      },
    },
    active: {
      description: 'The client has initialized: messages flow.',
      initial: 'serving',
      states: {
        serving: {
          description: 'The client is attached; its messages are delivered in the order of arrival.',
          tags: 'open',
          initial: 'busy',
          states: {
            idle: {
              description: 'No request in flight; every message restarts the idle timeout.',
              after: { idleTimeout: { target: '#session.closed', actions: closeReason('idle-timeout') } },
            },
            busy: {
              description: 'At least one request in flight.',
              always: { guard: 'hasNoRequests', target: 'idle' },
            },
          },
          on: {
            'message.received': [
              { guard: 'isRequest', target: '.busy', actions: ['countMessage', 'deliver'] },
              { guard: 'hasRequests', actions: 'deliver' },
              { target: '.idle', actions: 'deliver' },
            ],
            'request.settled': [
              { guard: 'isLastRequest', target: '.idle', actions: 'countSettled' },
              { actions: 'countSettled' },
            ],
            'transport.detached': [
              { guard: 'isResumable', target: 'detached', actions: 'markDetached' },
              { target: '#session.closed', actions: closeReasonOfEvent },
            ],
            'session.drain': 'draining',
            'transport.attached': {},
          },
        },
        detached: {
          description: 'The stream is lost; the session can be resumed until resumeGrace is over.',
          tags: 'open',
          after: { resumeGrace: { target: '#session.closed', actions: closeReason('client-closed') } },
          on: {
            'transport.attached': { target: 'serving', actions: 'markAttached' },
            'message.received': { actions: ['countMessage', 'deliver'] },
            'request.settled': { actions: 'countSettled' },
            'session.drain': { target: '#session.closed', actions: closeReason('server-draining') },
            'transport.detached': {},
          },
        },
        draining: {
          description: 'Requests in flight finish, new ones are refused.',
          tags: 'draining',
          always: { guard: 'hasNoRequests', target: '#session.closed', actions: closeReason('server-draining') },
          after: { drainTimeout: { target: '#session.closed', actions: closeReason('server-draining') } },
          on: {
            'message.received': [{ guard: 'isRequest' }, { actions: 'deliver' }],
            'request.settled': { actions: 'countSettled' },
            'transport.detached': { target: '#session.closed', actions: closeReason('server-draining') },
            'transport.attached': {},
            'session.drain': {},
          },
        },
      },
      on: {
        'browser.leased': { actions: 'markBrowserReady' },
        'browser.lost': { actions: 'markBrowserLost' },
        'browser.failed': { target: 'closed', actions: closeReasonWithFailure('browser-lost') },
      },
    },
    closed: {
      description: 'Everything that the session owned is released; the output has the close reason.',
      type: 'final',
      entry: 'terminate',
    },
  },
});
