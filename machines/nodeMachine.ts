import { assign, setup } from 'xstate';
import type { NodeEvent } from './events.js';
import { missingAction, missingDelay, missingPromise } from './placeholders.js';

export interface NodeContext {
  /** The time until which the store counts this node as alive, by its own clock. 0: it has no lease. */
  readonly leaseUntil: number;
}

/** `leased`: the node knows of no expiry of its lease, but the clock decides. `leaving`: it takes over nothing. */
export type NodeTag = 'leased' | 'leaving';

const chart = setup({
  types: {
    context: {} as NodeContext,
    events: {} as NodeEvent,
    tags: {} as NodeTag,
  },
  actors: {
    /** Connects to the store, however long that takes. */
    openStore: missingPromise<void, Record<never, never>>('openStore'),
    /** Subscribes the node to its hints; done when the store has acknowledged it. */
    subscribe: missingPromise<void, Record<never, never>>('subscribe'),
  },
  actions: {
    /** Renews the lease now and periodically, until the node has left. Named on the entry of `leasing` and nowhere else. */
    startHeartbeat: missingAction('startHeartbeat'),
    /** Leaves the sessions that can be restored to the other nodes. Named on the entry of `draining` and nowhere else. */
    handOff: missingAction('handOff'),
    recordLease: assign({ leaseUntil: (_, params: { until: number }) => params.until }),
  },
  delays: {
    subscribeRetry: missingDelay('subscribeRetry'),
  },
});

const recordLease = {
  type: 'recordLease',
  params: ({ event }: { event: { until: number } }) => ({ until: event.until }),
} as const;

/**
 * One of the nodes that share a store, as it sees itself:
 *
 *     joining (opening -> subscribing -> leasing) -> ready <-> lease-lost
 *     any of them -> draining (leased <-> unleased) -> leaving -> left
 *
 * It claims, takes over and writes only with a lease: the others take over the sessions of a node without one. A suspended
 * process learns too late that its lease has expired, so readers also compare `leaseUntil` with the clock.
 */
export const nodeMachine = chart.createMachine({
  id: 'node',
  description: 'One node of many: its store, its lease, its end.',
  context: { leaseUntil: 0 },
  initial: 'joining',
  states: {
    joining: {
      description: 'Not known to the other nodes yet; /ready answers 503.',
      initial: 'opening',
      states: {
        opening: {
          description: 'The connection to the store is being opened.',
          invoke: { src: 'openStore', input: {}, onDone: 'subscribing', onError: 'failed' },
        },
        subscribing: {
          description: 'Hints of other nodes must reach this node before it owns a session.',
          invoke: { src: 'subscribe', input: {}, onDone: 'leasing', onError: 'retrying' },
        },
        retrying: {
          description: 'The subscription failed.',
          after: { subscribeRetry: 'subscribing' },
        },
        leasing: {
          description: 'The lease is being acquired; every heartbeat tries again.',
          entry: 'startHeartbeat',
          on: {
            'lease.renewed': { target: '#node.ready', actions: recordLease },
            'lease.expired': '#node.lease-lost',
          },
        },
        failed: { description: 'The store refuses this server for good.' },
      },
      on: {
        'node.drain': 'draining.unleased',
        'node.leave': 'leaving',
        'lease.renewed': {},
        'lease.expired': {},
        'node.left': {},
      },
    },
    ready: {
      description: 'The lease is held: sessions are claimed, served and taken over.',
      tags: 'leased',
      on: {
        'lease.renewed': { actions: recordLease },
        'lease.expired': 'lease-lost',
        'node.drain': 'draining',
        'node.leave': 'leaving',
        'node.left': {},
      },
    },
    'lease-lost': {
      description: 'The store could not be reached for the time of a lease: other nodes may have the sessions.',
      on: {
        'lease.renewed': { target: 'ready', actions: recordLease },
        'node.drain': 'draining.unleased',
        'node.leave': 'leaving',
        'lease.expired': {},
        'node.left': {},
      },
    },
    draining: {
      description: 'Sessions end, or are left to the other nodes; nothing is taken over.',
      tags: 'leaving',
      entry: 'handOff',
      initial: 'leased',
      states: {
        leased: {
          description: 'Writes in flight still reach the store.',
          tags: 'leased',
          on: { 'lease.renewed': { actions: recordLease }, 'lease.expired': 'unleased' },
        },
        unleased: {
          description: 'Nothing can be written to the store.',
          on: { 'lease.renewed': { target: 'leased', actions: recordLease }, 'lease.expired': {} },
        },
      },
      on: { 'node.leave': 'leaving', 'node.drain': {}, 'node.left': {} },
    },
    leaving: {
      description: 'Every session has ended here: what the node published is removed.',
      tags: 'leaving',
      on: { 'node.left': 'left', 'node.leave': {}, 'node.drain': {}, 'lease.renewed': {}, 'lease.expired': {} },
    },
    left: { description: 'The lease is released: nobody waits for it to expire.', type: 'final' },
  },
});
