import type { Translation } from './translation.js';

const isRestorable = '($isSaved || $takeover == @restored || $takeover == @over)';

/** The end of the session at this node. */
const sessionEnds = (because: string): string =>
  `$isDropped = 0; ev.because = @${because};
   if ($standing != @lost && !($standing == @left && ev.because == @server-draining)) $standing = @ended;
   $session = @ended; if ($takeover == @restoring) $takeover = @over; fire(session.ended);`;

/** One term of ownership, as `ownershipLifecycle` has it. */
export const ownership: Translation = {
  variables: [
    ...['standing', 'session', 'takeover', 'recorded', 'closedBecause'].map((name) => `byte ${name}`),
    ...['isSaved', 'isDropped', 'term'].map((name) => `bit ${name}`),
  ],
  bounds: ['takeover'],
  guards: {
    isTakeover: 'K_takeover',
    isDrain: 'ev.because == @server-draining',
    isFenced: 'ev.output == @fenced',
  },
  actions: {
    dropSession: () => '$isDropped = 1; if ($session == @open) $session = @dropped;',
    recordTerm: ({ term }) => `$term = ${term};`,
    recordClose: ({ because }) => `$closedBecause = ${because};`,
  },
  starts: { recordEnd: '$recorded = @no;' },
  answers: {
    recordEnd: {
      done: ['closed', 'fenced'].map((output) => `$isDropped = 0; $recorded = @yes; ev.output = @${output};`),
      error: '$isDropped = 0; $recorded = @failed;',
    },
  },
  before: '$standing = @asked; $session = K_takeover ? @none : @open; $takeover = @none; $recorded = @no;',
  after: '',
  moves: [
    { when: '1', take: '$isDropped = 0; fire(lease.renewed);' },
    { when: '$standing == @asked', take: '$isDropped = 0; $standing = @refused; fire(term.refused);' },
    {
      when: '$standing == @asked',
      take: `$isDropped = 0; $standing = @granted; $takeover = K_takeover ? @restoring : @none; ev.term = 1;
        fire(term.granted);`,
    },
    ...[
      {
        when: '1',
        take: 'if ($standing == @granted || $standing == @left) $standing = @lost; fire(write.fenced);',
      },
      {
        when: '1',
        take: `if ($standing == @granted && ${isRestorable}) $standing = @left; fire(handoff.begun);`,
      },
      { when: '$session == @open && $standing == @granted', take: '$isSaved = 1; fire(snapshot.saved);' },
      { when: '$session == @open', take: sessionEnds('client-closed') },
      { when: '$session == @open', take: sessionEnds('server-draining') },
      { when: '$session == @dropped', take: sessionEnds('node-lost') },
      {
        when: '$takeover == @restoring || $takeover == @restored',
        take: '$takeover = @over; if ($standing == @granted) $standing = @lost; fire(takeover.failed);',
      },
      {
        when: '$takeover == @restoring',
        take: '$takeover = @restored; $session = @open; fire(session.restored);',
      },
      { when: '$takeover == @restoring', take: sessionEnds('node-lost') },
      { when: '$takeover == @restored', take: '$takeover = @over; fire(takeover.completed);' },
    ].map(({ when, take }) => ({ when: `$standing != @asked && (${when})`, take: `$isDropped = 0; ${take}` })),
  ],
  properties: {
    writes_while_it_owns: '[] (in(ownership.owned) -> ($standing == @granted || $standing == @left))',
    fenced_for_good: '[] (in(ownership.fenced) -> [] !in(ownership.owned))',
    recorded_or_left: '[] !(in(ownership.closed) && $standing == @left)',
  },
  reachable: { is_stored: 'in(ownership.owned.stored)', is_left: '$standing == @left && in(ownership.released)' },
};

/** One node, as `nodeLifecycle` has it. */
export const node: Translation = {
  variables: [
    ...['store', 'lease', 'lastUntil', 'ending', 'leaseUntil'].map((name) => `byte ${name}`),
    ...['isSubscribed', 'isBeating', 'isHandedOff'].map((name) => `bit ${name}`),
  ],
  bounds: [],
  guards: {},
  actions: {
    startHeartbeat: () => '$isBeating = 1;',
    handOff: () => '$isHandedOff = 1;',
    recordLease: ({ until }) => `$leaseUntil = ${until};`,
  },
  answers: {
    openStore: { done: '$store = @open;', error: '$store = @refused;' },
    subscribe: { done: '$isSubscribed = 1;', error: '' },
  },
  before: '$store = @opening; $lease = @none; $ending = @none;',
  after: '',
  moves: [
    {
      when: '$isBeating',
      take: `ev.until = $lastUntil == 1 ? 2 : 1;
        if ($ending != @leaving) { $lease = @held; $lastUntil = ev.until; } fire(lease.renewed);`,
    },
    { when: '$isBeating', take: '$lease = @lost; fire(lease.expired);' },
    { when: '1', take: 'if ($ending == @none) $ending = @draining; fire(node.drain);' },
    { when: '$ending == @leaving', take: 'fire(node.left);' },
    { when: '1', take: '$ending = @leaving; if ($lease == @held) $lease = @lost; fire(node.leave);' },
  ],
  properties: {
    owns_only_with_a_lease: '[] (tagged(leased) -> $lease == @held)',
    never_ready_again: '[] (in(node.draining) -> [] !in(node.ready))',
    leaves_for_good: '[] (in(node.leaving) -> [] (in(node.leaving) || in(node.left)))',
  },
  reachable: { is_ready: 'in(node.ready)', is_back: 'in(node.ready) && $lastUntil == 2', has_left: 'in(node.left)' },
};

/** What happens to a lease as its browser is gone. */
const gone = '$placement = @none; if ($move == @running) $move = @stale;';
const isMoving = '($move == @running || $move == @stale)';

/** The browser lease of one session, as `leaseLifecycle` has it. */
export const lease: Translation = {
  variables: [
    ...['placement', 'move', 'told', 'losses'].map((name) => `byte ${name}`),
    ...['isKept', 'isEnded'].map((name) => `bit ${name}`),
  ],
  bounds: ['fixed', 'resumed'],
  guards: { isResumed: 'K_resumed', isFixed: 'K_fixed' },
  actions: {
    startOpening: () => '$placement = @opening;',
    startMove: () => '$move = @running;',
    keepRecord: () => '$told |= 1;',
    keepPages: () => '$told |= 2;',
    dropPlacement: () => '$told |= 4;',
    reportLost: () => '$told |= 8;',
    reportReady: () => '$told |= 16;',
    countLoss: () => '$losses = least($losses + 1, 2);',
  },
  answers: {
    closeAll: { done: '$told = 0;', error: '$told = 0;', when: `$placement != @opening && !${isMoving}` },
  },
  before: '$placement = @none; $move = K_fixed ? @over : @none; $isKept = K_resumed;',
  after: '',
  moves: [
    { when: '1', take: 'fire(browser.wanted);' },
    { when: '1', take: 'fire(move.wanted);' },
    {
      when: '1',
      take: `if (!$isEnded) { $isEnded = 1; if ($placement == @open) $placement = @none;
        if ($move == @running) $move = @stale; } fire(session.ended);`,
    },
    {
      when: '$placement == @opening && !$isEnded',
      take: '$placement = @open; $isKept = 0; fire(placement.opened);',
    },
    { when: '$placement == @opening', take: '$placement = @none; fire(placement.failed);' },
    { when: '$placement == @open', take: `${gone} $isKept = 1; fire(browser.lost);` },
    { when: '$placement == @open', take: `${gone} $isKept = 1; fire(context.closed);` },
    { when: '$placement == @open', take: `${gone} fire(browser.hung);` },
    { when: '$move == @running && $placement == @open', take: '$move = @over; fire(move.completed);' },
    { when: isMoving, take: '$move = @none; fire(move.failed);' },
  ].map(({ when, take }) => ({ when, take: `$told = 0; ${take}` })),
  properties: {
    released_for_good: '[] (in(lease.releasing) -> [] !in(lease.leased))',
    settled_for_good: '[] (in(lease.leased.process.settled) -> [] !in(lease.leased.process.moving))',
    used_while_open: '[] (in(lease.leased.placement.open) -> $placement == @open)',
  },
  reachable: {
    is_open: 'in(lease.leased.placement.open)',
    is_lost: 'in(lease.leased.placement.lost)',
    is_released: 'in(lease.released)',
  },
};
