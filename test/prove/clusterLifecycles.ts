import type { AnyEventObject } from 'xstate';
import { nodeEventTypes, ownershipEventTypes } from '../../machines/events.js';
import { answersOf, runs, type Happening, type Lifecycle, type Situation } from './lifecycleWorld.js';

interface OwnershipFacts {
  /** What this node may think of its term. `left`: another node shall take over. */
  readonly standing: 'asked' | 'refused' | 'granted' | 'lost' | 'left' | 'ended';
  readonly session: 'none' | 'open' | 'dropped' | 'ended';
  readonly takeover: 'none' | 'restoring' | 'restored' | 'over';
  readonly isSaved: boolean;
  /** Of the end of the session: the last answer of the directory. */
  readonly recorded: 'no' | 'failed' | 'yes';
  /** Whether the session was dropped in the last step. */
  readonly isDropped: boolean;
}

/** One term of ownership: it is asked for, the session lives and ends, another node takes over, the node stops. */
export const ownershipLifecycle = (by: 'claim' | 'takeover'): Lifecycle<OwnershipFacts> => ({
  name: `ownership: by ${by}`,
  eventTypes: ownershipEventTypes,
  input: { sessionId: 's', by },
  facts: {
    ...{ standing: 'asked', session: by === 'claim' ? 'open' : 'none', takeover: 'none' },
    ...{ isSaved: false, recorded: 'no', isDropped: false },
  },
  happenings: (situation) => ownershipHappenings(situation, by),
  act(facts, action, violate) {
    if (action === 'start recordEnd') return { ...facts, recorded: 'no' };
    if (action !== 'dropSession') return facts;
    if (facts.isDropped) violate('S5: a session is dropped twice in one step');
    return { ...facts, isDropped: true, session: facts.session === 'open' ? 'dropped' : facts.session };
  },
  promises(situation) {
    const { snapshot, facts } = situation;
    const { standing, takeover, recorded } = facts;
    const { term, closedBecause } = snapshot.context as Record<string, unknown>;
    const isOwner = standing === 'granted' || (standing === 'left' && facts.session !== 'ended');
    const isAcquiring = takeover === 'restoring' || (takeover === 'restored' && standing === 'granted');
    return {
      'S11: it writes while it owns the session, and no longer': snapshot.hasTag('owner') === isOwner,
      'S11: no other takeover is begun here while one is under way':
        snapshot.hasTag('acquiring') === (standing === 'asked' || (isAcquiring && standing !== 'ended')),
      'S11: it is handed off when it was left to another node':
        snapshot.matches({ owned: 'handed-off' }) === (standing === 'left'),
      'S11: what can be restored is known':
        snapshot.matches({ owned: 'stored' }) ===
        (standing === 'granted' && isRestorable(facts) && takeover !== 'restored'),
      'S5: the end of its session is recorded': snapshot.matches('closing') === (standing === 'ended'),
      'S5: it is recorded once, and again if that failed':
        runs(situation, 'recordEnd') === (standing === 'ended' && recorded === 'no'),
      'S11: the term and the end are known':
        (term !== null) === (standing !== 'asked') && (closedBecause !== null) === (standing === 'ended'),
    };
  },
  stepPromises: ownershipSteps,
  mayRest: ({ snapshot, facts }) =>
    facts.recorded === 'failed' || (snapshot.hasTag('owner') && facts.session === 'open'),
  isAwaited: ({ snapshot }) => snapshot.matches('requested'),
});

const isRestorable = ({ isSaved, takeover }: OwnershipFacts): boolean =>
  isSaved || takeover === 'restored' || takeover === 'over';

/** An event, and what it changes around the chart. */
function ownershipChange(
  facts: OwnershipFacts,
  by: Happening<OwnershipFacts>['by'],
  event: AnyEventObject,
  change: Partial<OwnershipFacts>,
): Happening<OwnershipFacts> {
  return { by, isGood: by === 'own', event, facts: { ...facts, isDropped: false, ...change } };
}

function sessionEnds(facts: OwnershipFacts, because: string, by: 'own' | 'outside'): Happening<OwnershipFacts> {
  const { standing, takeover } = facts;
  const isLeft = standing === 'left' && because === 'server-draining';
  const event = { type: 'session.ended', because, detail: because };
  return ownershipChange(facts, by, event, {
    ...{ standing: isLeft || standing === 'lost' ? standing : 'ended', session: 'ended' },
    takeover: takeover === 'restoring' ? 'over' : takeover,
  });
}

/** What the attempt to restore the session comes to. */
function takeoverHappenings(facts: OwnershipFacts): Happening<OwnershipFacts>[] {
  const { standing, takeover } = facts;
  const restored = { takeover: 'restored', session: 'open' } as const;
  const failed = { takeover: 'over', standing: standing === 'granted' ? 'lost' : standing } as const;
  if (takeover !== 'restoring' && takeover !== 'restored') return [];
  return [
    { ...ownershipChange(facts, 'own', { type: 'takeover.failed' }, failed), isGood: false },
    ...(takeover === 'restoring'
      ? [
          ownershipChange(facts, 'own', { type: 'session.restored' }, restored),
          { ...sessionEnds(facts, 'node-lost', 'own'), isGood: false },
        ]
      : [ownershipChange(facts, 'own', { type: 'takeover.completed' }, { takeover: 'over' })]),
  ];
}

function ownershipHappenings(
  situation: Situation<OwnershipFacts>,
  by: 'claim' | 'takeover',
): Happening<OwnershipFacts>[] {
  const { facts } = situation;
  const { standing, session } = facts;
  const outside = (type: string, change: Partial<OwnershipFacts> = {}) =>
    ownershipChange(facts, 'outside', { type }, change);
  const granted = { type: 'term.granted', term: { sessionId: 's', epoch: 2 } };
  if (standing === 'asked')
    return [
      outside('lease.renewed'),
      ownershipChange(facts, 'answer', { type: 'term.refused' }, { standing: 'refused' }),
      ownershipChange(facts, 'own', granted, {
        ...{ standing: 'granted', takeover: by === 'takeover' ? 'restoring' : 'none' },
      }),
    ];
  const owns = standing === 'granted';
  const recorded = answersOf<OwnershipFacts>(situation, 'recordEnd').flatMap(({ event }) =>
    event.type.includes('.error.')
      ? [{ ...ownershipChange(facts, 'own', event, { recorded: 'failed' }), isGood: false }]
      : ['closed', 'fenced'].map((output) =>
          ownershipChange(facts, 'own', { ...event, output, detail: output }, { recorded: 'yes' }),
        ),
  );
  return [
    outside('lease.renewed'),
    outside('write.fenced', owns || standing === 'left' ? { standing: 'lost' } : {}),
    outside('handoff.begun', owns && isRestorable(facts) ? { standing: 'left' } : {}),
    ...(session === 'open' && owns ? [outside('snapshot.saved', { isSaved: true })] : []),
    ...(session === 'open'
      ? (['client-closed', 'server-draining'] as const).map((because) => sessionEnds(facts, because, 'outside'))
      : []),
    ...(session === 'dropped' ? [sessionEnds(facts, 'node-lost', 'own')] : []),
    ...takeoverHappenings(facts),
    ...recorded,
  ];
}

function ownershipSteps(
  { facts }: Situation<OwnershipFacts>,
  { output }: AnyEventObject,
  after: Situation<OwnershipFacts>,
): Record<string, boolean> {
  const { standing, takeover, isDropped, session } = after.facts;
  const isFenced = standing === 'lost' && facts.standing !== 'lost';
  const opensLate = facts.takeover === 'restoring' && takeover !== 'restoring' && standing !== 'granted';
  const isRecorded = output === 'closed';
  const isOver =
    standing === 'refused' ||
    isRecorded ||
    output === 'fenced' ||
    (standing === 'left' && session === 'ended') ||
    (standing === 'lost' && (session === 'ended' || (takeover === 'over' && session === 'none')));
  return {
    'S5: a session that is not owned any more is dropped, and no other': isDropped === (isFenced || opensLate),
    'S5: a term is over when nothing is left of it': (after.snapshot.status === 'done') === isOver,
    'S11: it says whether the end is recorded': after.snapshot.matches('closed') === isRecorded,
  };
}

interface NodeFacts {
  readonly store: 'opening' | 'open' | 'refused';
  readonly isSubscribed: boolean;
  readonly isBeating: boolean;
  readonly lease: 'none' | 'held' | 'lost';
  /** The end of the last lease. */
  readonly until: number;
  readonly end: 'none' | 'draining' | 'leaving';
  readonly isHandedOff: boolean;
}

/** One node of many: its store opens, its lease is renewed and lost, it drains and leaves, at any time. */
export const nodeLifecycle: Lifecycle<NodeFacts> = {
  name: 'node',
  eventTypes: nodeEventTypes,
  input: {},
  facts: {
    ...{ store: 'opening', isSubscribed: false, isBeating: false, lease: 'none', until: 0 },
    ...{ end: 'none', isHandedOff: false },
  },
  happenings(situation) {
    const { facts } = situation;
    const { end, isBeating, lease } = facts;
    const outside = (event: AnyEventObject, change: Partial<NodeFacts>, isGood = false): Happening<NodeFacts> => ({
      ...{ by: 'outside', isGood, event },
      facts: { ...facts, ...change },
    });
    const answered = (actor: string, done: Partial<NodeFacts>, failed: Partial<NodeFacts>): Happening<NodeFacts>[] =>
      answersOf<NodeFacts>(situation, actor, 'answer').map((one) => ({
        ...one,
        // It is tried again for as long as the store is away.
        by: one.isGood === true ? 'answer' : 'outside',
        facts: { ...facts, ...(one.isGood === true ? done : failed) },
      }));
    const until = facts.until === 1 ? 2 : 1;
    return [
      ...answered('openStore', { store: 'open' }, { store: 'refused' }),
      ...answered('subscribe', { isSubscribed: true }, {}),
      ...(isBeating
        ? [
            outside({ type: 'lease.renewed', until }, end === 'leaving' ? {} : { lease: 'held', until }, true),
            outside({ type: 'lease.expired' }, { lease: 'lost' }),
          ]
        : []),
      outside({ type: 'node.drain' }, end === 'none' ? { end: 'draining' } : {}),
      ...(end === 'leaving' ? [{ ...outside({ type: 'node.left' }, {}), by: 'own' as const }] : []),
      outside({ type: 'node.leave' }, { end: 'leaving', ...(lease === 'held' ? { lease: 'lost' } : {}) }),
    ];
  },
  act(facts, action, violate) {
    if (action === 'startHeartbeat') {
      if (!facts.isSubscribed || facts.isBeating) violate('S1: the heartbeat starts once, when hints are received');
      return { ...facts, isBeating: true };
    }
    if (action !== 'handOff') return facts;
    if (facts.isHandedOff) violate('S5: sessions are handed off twice');
    return { ...facts, isHandedOff: true };
  },
  promises({ snapshot, facts, actors }) {
    const { store, isSubscribed, isBeating, lease, until, end, isHandedOff } = facts;
    const isJoining = end === 'none';
    return {
      'S11: it owns something only with a lease': snapshot.hasTag('leased') === (lease === 'held'),
      'S11: until when is known': (snapshot.context as Record<string, unknown>)['leaseUntil'] === until,
      'S12: it is ready only with a lease': snapshot.matches('ready') === (isJoining && lease === 'held'),
      'S12: that the lease is lost is known': snapshot.matches('lease-lost') === (isJoining && lease === 'lost'),
      'S11: a node that stops takes nothing over': snapshot.hasTag('leaving') === !isJoining,
      'S5: it hands off when it drains, not when it leaves':
        snapshot.matches('draining') === (end === 'draining') && (end !== 'draining' || isHandedOff),
      'S8: a store that refuses it is known':
        snapshot.matches({ joining: 'failed' }) === (isJoining && store === 'refused'),
      'S1: it is known to others when it receives their hints': isBeating === isSubscribed,
      'S5: the store is opened while it joins':
        runs({ actors, timers: [] }, 'openStore') === (isJoining && store === 'opening') &&
        (!runs({ actors, timers: [] }, 'subscribe') || (isJoining && store === 'open' && !isSubscribed)),
    };
  },
  stepPromises: (_before, { type }, after) => ({
    'S5: it has left when nothing of it is left': (after.snapshot.status === 'done') === (type === 'node.left'),
  }),
  mayRest: ({ snapshot, facts }) =>
    !snapshot.matches('leaving') && !snapshot.matches({ joining: 'retrying' }) && facts.end !== 'leaving',
  isAwaited: ({ snapshot, facts }) =>
    snapshot.matches('joining') && facts.store !== 'refused' && !snapshot.matches({ joining: 'retrying' }),
};
