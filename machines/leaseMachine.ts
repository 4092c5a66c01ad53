import { assign, setup } from 'xstate';
import type { LeaseEvent } from './events.js';
import { missingAction, missingPromise } from './placeholders.js';

export interface LeaseInput {
  /** auto: in a context of a shared browser, until a tool needs a process of its own. */
  readonly isolation: 'auto' | 'context' | 'process' | 'profile';
  /** Whether the session was restored: its pages are found or opened again. */
  readonly isResumed: boolean;
}

export interface LeaseContext extends LeaseInput {
  /** How often the browser of the session died: a page may be the cause. */
  readonly losses: number;
}

/** `restorable`: what the session had open is known, and the next browser restores it. */
export type LeaseTag = 'restorable';

const chart = setup({
  types: {
    context: {} as LeaseContext,
    events: {} as LeaseEvent,
    input: {} as LeaseInput,
    tags: {} as LeaseTag,
  },
  actors: {
    /** Waits for what is being opened, then closes everything that was opened under the lease. */
    closeAll: missingPromise<void, Record<never, never>>('closeAll'),
  },
  actions: {
    /** Binds the session to a browser, and opens its placement in it. Named on the entry of `opening` and nowhere else. */
    startOpening: missingAction('startOpening'),
    /** Opens a placement in a process of its own. Named on the entry of `moving` and nowhere else. */
    startMove: missingAction('startMove'),
    /** Closes the placement in a browser that is gone, and keeps what was open in it. */
    keepRecord: missingAction('keepRecord'),
    /** Like `keepRecord`, if the context is already closed: its pages are known, and are opened again. */
    keepPages: missingAction('keepPages'),
    /** Closes the placement, and keeps nothing. */
    dropPlacement: missingAction('dropPlacement'),
    reportLost: missingAction('reportLost'),
    reportReady: missingAction('reportReady'),
    countLoss: assign({ losses: ({ context }) => context.losses + 1 }),
  },
  guards: {
    isResumed: ({ context }) => context.isResumed,
    isFixed: ({ context }) => context.isolation !== 'auto',
  },
});

/**
 * A session's right to one browser, from the first call that needs it to the release of everything that it opened:
 *
 *     leased: placement opening -> open -> lost -> opening
 *                         opening -> idle                it failed: the next call tries again
 *             process   shared -> moving -> settled    a tool needs a process of its own
 *     leased -> releasing -> released
 *
 * The move runs in parallel: it fails if the browser is lost meanwhile, and the session stays where it was.
 */
export const leaseMachine = chart.createMachine({
  id: 'lease',
  description: 'The browser lease of one session.',
  context: ({ input }) => ({ ...input, losses: 0 }),
  initial: 'leased',
  states: {
    leased: {
      description: 'The session may have a browser.',
      type: 'parallel',
      states: {
        placement: {
          description: 'What the session has in a browser: a context, a process or a profile.',
          initial: 'wanted',
          states: {
            wanted: {
              description: 'Left at once: the first call needs a browser.',
              always: [{ guard: 'isResumed', target: 'opening.again' }, { target: 'opening' }],
            },
            idle: {
              description: 'Nothing is open, and nothing is to be restored.',
              on: { 'browser.wanted': 'opening' },
            },
            opening: {
              description: 'A browser is found or started, and a placement opened in it. All calls share one opening.',
              entry: 'startOpening',
              initial: 'first',
              states: {
                first: {
                  description: 'Nothing was open before.',
                  on: { 'placement.failed': '#lease.leased.placement.idle' },
                },
                again: {
                  description: 'What was open before is restored.',
                  tags: 'restorable',
                  on: { 'placement.failed': '#lease.leased.placement.lost' },
                },
              },
              on: { 'placement.opened': 'open' },
            },
            open: {
              description: 'Calls use the browser.',
              on: {
                'browser.lost': { target: 'lost', actions: ['countLoss', 'keepRecord', 'reportLost'] },
                'context.closed': { target: 'lost', actions: ['keepPages', 'reportLost', 'reportReady'] },
                'browser.hung': { target: 'idle', actions: 'dropPlacement' },
              },
            },
            lost: {
              description:
                'The browser died, or another node closed the context: the next call restores what was open.',
              tags: 'restorable',
              on: { 'browser.wanted': 'opening.again' },
            },
          },
        },
        process: {
          description: 'Whether the browser process is shared with other sessions.',
          initial: 'shared',
          states: {
            shared: {
              description: 'The process is shared, until a tool needs one of its own.',
              always: { guard: 'isFixed', target: 'settled' },
              on: { 'move.wanted': 'moving' },
            },
            moving: {
              description: 'A placement is opened in a process of its own. All calls share one move.',
              entry: 'startMove',
              on: { 'move.completed': 'settled', 'move.failed': 'shared' },
            },
            settled: { description: 'The placement is final: no tool moves it.' },
          },
        },
      },
      on: {
        'session.ended': 'releasing',
        'browser.wanted': {},
        'move.wanted': {},
        'placement.opened': {},
        'placement.failed': {},
        'browser.lost': {},
        'browser.hung': {},
        'context.closed': {},
        'move.completed': {},
        'move.failed': {},
      },
    },
    releasing: {
      description: 'The session has ended: everything that it opened is closed, including what opens late.',
      invoke: { src: 'closeAll', input: {}, onDone: 'released', onError: 'released' },
      on: {
        'session.ended': {},
        'browser.wanted': {},
        'move.wanted': {},
        'placement.opened': {},
        'placement.failed': {},
        'browser.lost': {},
        'browser.hung': {},
        'context.closed': {},
        'move.completed': {},
        'move.failed': {},
      },
    },
    released: { description: 'Nothing is left of the lease.', type: 'final' },
  },
});
