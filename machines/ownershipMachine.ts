import { assign, setup } from 'xstate';
import type { CloseReason, OwnershipEvent, SessionTerm } from './events.js';
import { missingAction, missingPromise } from './placeholders.js';

export interface OwnershipInput {
  readonly sessionId: string;
  /** How this node comes to own the session: it is new, or its last owner is dead. */
  readonly by: 'claim' | 'takeover';
}

export interface OwnershipContext extends OwnershipInput {
  /** Null until the store grants it. */
  readonly term: SessionTerm | null;
  readonly closedBecause: CloseReason | null;
}

/** What the directory records. */
export interface SessionEndRecord {
  readonly term: SessionTerm | null;
  readonly because: CloseReason;
}

/**
 * `owner`: the store accepts writes with this term. `acquiring`: the node is about to have the session, and starts no other
 * takeover of it.
 */
export type OwnershipTag = 'owner' | 'acquiring';

const chart = setup({
  types: {
    context: {} as OwnershipContext,
    events: {} as OwnershipEvent,
    input: {} as OwnershipInput,
    tags: {} as OwnershipTag,
  },
  actors: {
    /** Records the end of the session in the directory; `fenced` if this term is over already. */
    recordEnd: missingPromise<'closed' | 'fenced', SessionEndRecord>('recordEnd'),
  },
  actions: {
    /** Ends the session at this node, if it is there: its resources are released. */
    dropSession: missingAction('dropSession'),
    recordTerm: assign({ term: (_, params: { term: SessionTerm }) => params.term }),
    recordClose: assign({ closedBecause: (_, params: { because: CloseReason }) => params.because }),
  },
  guards: {
    isTakeover: ({ context }) => context.by === 'takeover',
    /** Any other end is the end of the session, which no node may restore. */
    isDrain: ({ event }) => event.type === 'session.ended' && event.because === 'server-draining',
    isFenced: ({ event }) => 'output' in event && event.output === 'fenced',
  },
});

const recordTerm = {
  type: 'recordTerm',
  params: ({ event }: { event: { term: SessionTerm } }) => ({ term: event.term }),
} as const;

const recordClose = {
  type: 'recordClose',
  params: ({ event }: { event: { because: CloseReason } }) => ({ because: event.because }),
} as const;

/**
 * One term in which this node owns a session, of the nodes that share a store (S11):
 *
 *     requested -> owned (claimed -> stored -> handed-off) -> closing -> closed
 *                  owned (restoring -> restored -> stored)    the end is recorded
 *                  owned -> fenced -> released                 another node owns it, or may take it over
 *
 * The node writes for the session only in `owned`. A write that the store fences leaves this state at once, and every exit
 * either records the end of the session or leaves it to another node, never both.
 */
export const ownershipMachine = chart.createMachine({
  id: 'ownership',
  description: 'One term of ownership of a session, at one node.',
  context: ({ input }) => ({ ...input, term: null, closedBecause: null }),
  initial: 'requested',
  states: {
    requested: {
      description: 'The store is asked for the session: no other node owns it, or its owner is dead.',
      tags: 'acquiring',
      on: {
        'term.granted': [
          { guard: 'isTakeover', target: 'owned.restoring', actions: recordTerm },
          { target: 'owned', actions: recordTerm },
        ],
        'term.refused': 'released',
        'snapshot.saved': {},
        'session.restored': {},
        'takeover.completed': {},
        'takeover.failed': {},
        'write.fenced': {},
        'handoff.begun': {},
        'session.ended': {},
        'lease.renewed': {},
      },
    },
    owned: {
      description: 'This node owns the session: it alone can write for it.',
      tags: 'owner',
      initial: 'claimed',
      states: {
        claimed: {
          description: 'Nothing is stored of the session: it ends with its node.',
          on: { 'snapshot.saved': 'stored' },
        },
        restoring: {
          description: 'Taken over from a dead node: the session is being restored from its snapshot.',
          tags: 'acquiring',
          on: {
            'session.restored': 'restored',
            'takeover.failed': { target: '#ownership.released', actions: 'dropSession' },
            'write.fenced': '#ownership.fenced.restoring',
            'session.ended': { target: '#ownership.closing', actions: [recordClose, 'dropSession'] },
          },
        },
        restored: {
          description: 'The session is here; the directory is told that it can be used.',
          tags: 'acquiring',
          on: {
            'takeover.completed': 'stored',
            'takeover.failed': '#ownership.fenced',
            'handoff.begun': 'handed-off',
          },
        },
        stored: {
          description: 'Another node can restore the session from its snapshot.',
          on: { 'handoff.begun': 'handed-off' },
        },
        'handed-off': {
          description: 'The node stops: the session ends here, and is left to the node that takes it over.',
          on: {
            'session.ended': { guard: 'isDrain', target: '#ownership.released' },
          },
        },
      },
      on: {
        'write.fenced': 'fenced',
        'session.ended': { target: 'closing', actions: recordClose },
        'term.granted': {},
        'term.refused': {},
        'snapshot.saved': {},
        'session.restored': {},
        'takeover.completed': {},
        'takeover.failed': {},
        'handoff.begun': {},
        'lease.renewed': {},
      },
    },
    fenced: {
      description: 'Another node owns the session, or may take it over.',
      entry: 'dropSession',
      initial: 'releasing',
      states: {
        restoring: {
          description: 'Fenced off while the session was being restored: it may still open.',
          tags: 'acquiring',
          on: {
            'session.restored': { target: 'releasing', actions: 'dropSession' },
            'takeover.failed': { target: '#ownership.released', actions: 'dropSession' },
            'session.ended': { target: '#ownership.released', actions: 'dropSession' },
          },
        },
        releasing: {
          description: 'The session ends here, without a word to the directory.',
          on: { 'session.ended': '#ownership.released' },
        },
      },
      on: {
        'term.granted': {},
        'term.refused': {},
        'snapshot.saved': {},
        'session.restored': {},
        'takeover.completed': {},
        'takeover.failed': {},
        'write.fenced': {},
        'handoff.begun': {},
        'lease.renewed': {},
      },
    },
    closing: {
      description: 'The session has ended: the directory has to know.',
      initial: 'recording',
      states: {
        recording: {
          description: 'The end is being recorded.',
          invoke: {
            src: 'recordEnd',
            input: ({ context }) => ({ term: context.term, because: context.closedBecause ?? 'node-lost' }),
            onDone: [{ guard: 'isFenced', target: '#ownership.released' }, { target: '#ownership.closed' }],
            onError: 'pending',
          },
        },
        pending: {
          description: 'The store was unreachable: the end is recorded when it answers again.',
          on: { 'lease.renewed': 'recording' },
        },
      },
      on: {
        'lease.renewed': {},
        'term.granted': {},
        'term.refused': {},
        'write.fenced': {},
        'session.ended': {},
        'handoff.begun': {},
        'snapshot.saved': {},
        'session.restored': {},
        'takeover.failed': {},
        'takeover.completed': {},
      },
    },
    closed: { description: 'The end of the session is recorded: no node restores it.', type: 'final' },
    released: { description: 'Nothing of the session is left at this node; another one may have it.', type: 'final' },
  },
});
