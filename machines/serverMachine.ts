import { assign, setup } from 'xstate';
import type { Failure, ServerEvent } from './events.js';
import { missingAction, missingCallback, missingDelay, missingPromise } from './placeholders.js';

export interface ServerContext {
  readonly port: number | null;
  readonly failure: Failure | null;
}

const chart = setup({
  types: {
    context: {} as ServerContext,
    events: {} as ServerEvent,
    output: {} as { failure: Failure | null },
  },
  actors: {
    /** Owns the listening socket; `stopAccepting` closes it, stopping the actor ends the remaining connections. */
    listener: missingCallback<{ type: 'none' }, Record<never, never>>('listener'),
    /** Drains every session and waits until all are closed. */
    drainSessions: missingPromise<void, Record<never, never>>('drainSessions'),
    /** Closes every browser, process and profile folder. */
    closeBrowsers: missingPromise<void, Record<never, never>>('closeBrowsers'),
  },
  actions: {
    stopAccepting: missingAction('stopAccepting'),
    recordPort: assign({ port: (_, params: { port: number }) => params.port }),
    recordFailure: assign({ failure: (_, params: { failure: Failure }) => params.failure }),
  },
  delays: {
    drainTimeout: missingDelay('drainTimeout'),
    closeTimeout: missingDelay('closeTimeout'),
  },
});

const recordEventFailure = {
  type: 'recordFailure',
  params: ({ event }: { event: { failure: Failure } }) => ({ failure: event.failure }),
} as const;

/**
 * The lifecycle of one server process: the listener opens last and closes first.
 *
 *     starting -> listening -> draining (sessions, then browsers) -> stopped
 */
export const serverMachine = chart.createMachine({
  id: 'server',
  description: 'The server process: listener, sessions, browsers.',
  context: { port: null, failure: null },
  output: ({ context }) => ({ failure: context.failure }),
  invoke: { src: 'listener', id: 'listener', input: {} },
  initial: 'starting',
  states: {
    starting: {
      description: 'The listening socket is being opened; /ready answers 503.',
      on: {
        'listener.opened': {
          target: 'listening',
          actions: {
            type: 'recordPort',
            params: ({ event }: { event: { port: number } }) => ({ port: event.port }),
          },
        },
        'server.drain': 'draining',
      },
    },
    listening: {
      description: 'Clients can connect; /ready answers 200.',
      on: { 'server.drain': 'draining', 'listener.opened': {} },
    },
    draining: {
      description: 'No new sessions; open ones are ended in order, within a time limit.',
      initial: 'sessions',
      states: {
        sessions: {
          description: 'Each session finishes its requests in flight and closes; /ready answers 503.',
          invoke: { src: 'drainSessions', input: {}, onDone: 'browsers', onError: 'browsers' },
          after: { drainTimeout: 'browsers' },
        },
        browsers: {
          description: 'The port is closed; browser processes and profile folders are removed.',
          entry: 'stopAccepting',
          invoke: { src: 'closeBrowsers', input: {}, onDone: '#server.stopped', onError: '#server.stopped' },
          after: { closeTimeout: '#server.stopped' },
        },
      },
      on: { 'server.drain': {}, 'listener.opened': {}, 'listener.failed': { actions: recordEventFailure } },
    },
    stopped: { description: 'Everything that the server owned is released.', type: 'final' },
  },
  on: {
    'listener.failed': { target: '.draining', actions: recordEventFailure },
  },
});
