import { assign, setup } from 'xstate';
import type { AlertEvent, CreationWindow } from './events.js';
import { missingAction, missingCallback, missingDelay } from './placeholders.js';

export interface AlertInput {
  /** Share of failed creations, above 0 and up to 1, at which the alarm is raised. */
  readonly failureRate: number;
  /** Fewer creations than this in the window raise nothing: one failure at night is no incident. */
  readonly minCreations: number;
}

export interface AlertContext extends AlertInput {
  /** What was measured last. */
  readonly window: CreationWindow;
}

const chart = setup({
  types: {
    context: {} as AlertContext,
    events: {} as AlertEvent,
    input: {} as AlertInput,
  },
  actors: {
    /** Measures the window again as it slides on: failures leave it also when nobody connects any more. */
    slideWindow: missingCallback<{ type: 'none' }, Record<never, never>>('slideWindow'),
  },
  actions: {
    recordWindow: assign({ window: ({ event }) => event.window }),
    /** Tells the outside that the alarm is raised. Named on the entry of `firing` and nowhere else. */
    notifyFiring: missingAction('notifyFiring'),
    /** Tells the outside that it is over. Named on the exit of `firing` and nowhere else. */
    notifyCleared: missingAction('notifyCleared'),
  },
  guards: {
    isFailing: ({ context, event }) =>
      event.window.creations >= context.minCreations && event.window.rate >= context.failureRate,
    /** The minimum does not count here: what rings must not fall silent because people have stopped trying. */
    hasRecovered: ({ context, event }) => event.window.rate < context.failureRate,
  },
  delays: {
    /** How long failures must go on before the alarm rings: successes in the meantime end the matter. */
    confirmation: missingDelay('confirmation'),
  },
});

/** The alarm over failing session creations: it rings once and clears once in each episode. */
export const alertMachine = chart.createMachine({
  id: 'alert',
  description: 'The alarm over the share of session creations that fail within a sliding window.',
  context: ({ input }) => ({ ...input, window: { creations: 0, failures: 0, rate: 0, cause: null } }),
  initial: 'ok',
  states: {
    ok: {
      description: 'Sessions are created as they should be, or too few to tell.',
      on: {
        'window.measured': [
          { guard: 'isFailing', target: 'pending', actions: 'recordWindow' },
          { actions: 'recordWindow' },
        ],
      },
    },
    pending: {
      description: 'Too many creations fail; it rings unless that is over soon.',
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
      description: 'The alarm rings until the failures have left the window, or are few among successes.',
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
