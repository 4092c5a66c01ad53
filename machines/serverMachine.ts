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
    /** Owns the listening socket; `stopAccepting` shuts its door, stopping it ends the connections that are left. */
    listener: missingCallback<{ type: 'none' }, Record<never, never>>('listener'),
    /** Tells each session that the server drains and waits for all of them to close. */
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

/** The life of one server process: the door opens last and closes first. */
export const serverMachine = chart.createMachine({
  id: 'server',
  description: 'The server process: listener, sessions, browsers.',
  context: { port: null, failure: null },
  output: ({ context }) => ({ failure: context.failure }),
  invoke: { src: 'listener', id: 'listener', input: {} },
  initial: 'starting',
  states: {
    starting: {
      description: 'The listening socket is being opened; /ready says no.',
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
      description: 'Clients connect; /ready says yes.',
      on: { 'server.drain': 'draining', 'listener.opened': {} },
    },
    draining: {
      description: 'Nobody new comes in; what is open is ended in order, within a bound.',
      entry: 'stopAccepting',
      initial: 'sessions',
      states: {
        sessions: {
          description: 'Each session is told, finishes what is in flight and closes.',
          invoke: { src: 'drainSessions', input: {}, onDone: 'browsers', onError: 'browsers' },
          after: { drainTimeout: 'browsers' },
        },
        browsers: {
          description: 'No session is left: browsers, processes and profile folders go.',
          invoke: { src: 'closeBrowsers', input: {}, onDone: '#server.stopped', onError: '#server.stopped' },
          after: { closeTimeout: '#server.stopped' },
        },
      },
      on: { 'server.drain': {}, 'listener.opened': {}, 'listener.failed': { actions: recordEventFailure } },
    },
    stopped: { description: 'Nothing of this server is left.', type: 'final' },
  },
  on: {
    'listener.failed': { target: '.draining', actions: recordEventFailure },
  },
});
