import { assign, setup } from 'xstate';
import type { AlertEvent, CreationWindow } from './events.js';
import { missingAction, missingCallback, missingDelay } from './placeholders.js';

export interface AlertInput {
  /** Share of failed creations, above 0 and up to 1, at which the alert starts firing. */
  readonly failureRate: number;
  /** Fewer creations than this in the window never fire the alert: one failure at night is no incident. */
  readonly minCreations: number;
}

export interface AlertContext extends AlertInput {
  /** The latest measurement. */
  readonly window: CreationWindow;
}

const chart = setup({
  types: {
    context: {} as AlertContext,
    events: {} as AlertEvent,
    input: {} as AlertInput,
  },
  actors: {
    /** Measures the window periodically, so that failures expire without new creations. */
    slideWindow: missingCallback<{ type: 'none' }, Record<never, never>>('slideWindow'),
  },
  actions: {
    recordWindow: assign({ window: ({ event }) => event.window }),
    /** Notifies that the alert fires. Named on the entry of `firing` and nowhere else. */
    notifyFiring: missingAction('notifyFiring'),
    /** Notifies that the alert is cleared. Named on the exit of `firing` and nowhere else. */
    notifyCleared: missingAction('notifyCleared'),
  },
  guards: {
    isFailing: ({ context, event }) =>
      event.window.creations >= context.minCreations && event.window.rate >= context.failureRate,
    /** The minimum is not applied here: a firing alert must not clear because clients have given up. */
    hasRecovered: ({ context, event }) => event.window.rate < context.failureRate,
  },
  delays: {
    /** How long the failure rate must stay high before the alert fires; recovery in the meantime cancels it. */
    confirmation: missingDelay('confirmation'),
  },
});

/** The alert on failing session creations: it fires once and clears once per episode. */
export const alertMachine = chart.createMachine({
  id: 'alert',
  description: 'The alert on the share of session creations that fail within a sliding window.',
  context: ({ input }) => ({ ...input, window: { creations: 0, failures: 0, rate: 0, cause: null } }),
  initial: 'ok',
  states: {
    ok: {
      description: 'The failure rate is below the threshold, or there are too few creations to judge.',
      on: {
        'window.measured': [
          { guard: 'isFailing', target: 'pending', actions: 'recordWindow' },
          { actions: 'recordWindow' },
        ],
      },
    },
    pending: {
      description: 'The failure rate is too high; the alert fires unless it recovers in time.',
      invoke: { src: 'slideWindow', input: {} },
      after: { confirmation: 'firing' },
      on: {
        'window.measured': [
          { guard: 'hasRecovered', target: 'ok', actions: 'recordWindow' },
          { actions: 'recordWindow' },
        ],
      },
    },
    firing: {
      description: 'The alert fires until the failure rate has fallen below the threshold.',
      invoke: { src: 'slideWindow', input: {} },
      entry: 'notifyFiring',
      exit: 'notifyCleared',
      on: {
        'window.measured': [
          { guard: 'hasRecovered', target: 'ok', actions: 'recordWindow' },
          { actions: 'recordWindow' },
        ],
      },
    },
  },
});
