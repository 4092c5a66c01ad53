import type { AnyStateMachine } from 'xstate';
import { machines } from '../../machines/index.js';
import { lease, node, ownership } from './clusterTranslations.js';
import type { Translation } from './translation.js';

const isCounted = '(ev.kind == @initialize || ev.kind == @request)';

/** Client, browser and directory of a session, as `SessionWorld` has them, in the words of the second checker. */
const session: Translation = {
  variables: [
    ...['attached', 'known', 'resumable'].map((name) => `bit ${name}`),
    ...['browser', 'held', 'handshake', 'inFlight', 'closedBecause', 'failure'].map((name) => `byte ${name}`),
    ...['client', 'lent', 'acquiring', 'queued', 'working'].map((name) => `byte ${name}`),
    ...['hasTools', 'isClaimed', 'announced', 'ended', 'twice', 'late', 'quiet'].map((name) => `bit ${name}`),
    'byte queue[6]',
  ],
  bounds: ['lazy', 'warm', 'noSetup', 'handle', 'resumable', 'limit', 'max', 'quiet'],
  guards: {
    isAttached: '$attached',
    isLazy: 'K_lazy',
    needsNoSetup: 'K_noSetup',
    awaitsNothing: 'K_noSetup && $browser == @deferred',
    isAttachedAndSetUp: 'K_noSetup && $attached',
    isBrowserLost: '$browser == @lost',
    isResumable: '$resumable',
    canQueue: '$held < K_limit',
    hasQueued: '$held > 0',
    awaitsNoInitialize: '$handshake != @awaited',
    isInitialize: 'ev.kind == @initialize',
    isRequest: isCounted,
    hasNoRequests: '$inFlight == 0',
    hasRequests: '$inFlight > 0',
    isLastRequest: '$inFlight == 1',
  },
  actions: {
    announce: () => 'if ($announced) $twice = 1; if ($ended) $late = 1; $announced = 1;',
    deliver: () =>
      `if ($ended || !$announced) $late = 1; { int i; for (i = 0; i < $queued; i++) {
        if ($queue[i] == @initialize || $queue[i] == @request) $working++; $queue[i] = 0; } } $queued = 0;`,
    requestBrowser: () => '$acquiring = least($acquiring + 1, 2);',
    markAttached: () =>
      '$attached = 1; if (ev.client) { $known = 1; $resumable = K_resumable; if (K_handle) $handshake = @none; }',
    markDetached: () => '$attached = 0;',
    markBrowserReady: () => '$browser = @ready;',
    markBrowserLost: () => '$browser = @lost;',
    countMessage: () => `if ${isCounted} $inFlight++; if (ev.kind == @initialize) $handshake = @begun;`,
    countQueued: () => '$held++;',
    clearQueued: () => '$held = 0;',
    countSettled: () => 'if ($inFlight > 0) $inFlight--;',
    recordClose: ({ because = '0', failure = '0' }) => `$closedBecause = ${because}; $failure = ${failure};`,
    terminate: () =>
      'if ($ended) $twice = 1; $ended = 1; $working = 0; { int i; for (i = 0; i < 6; i++) $queue[i] = 0; } $queued = 0;',
  },
  stops: { browserLease: '$acquiring = 0; $lent = @none;' },
  answers: {
    registerTools: { done: '$hasTools = 1;', error: '' },
    checkBrowser: { done: '', error: '$lent = @down;' },
    claim: { done: '$isClaimed = 1;', error: '' },
  },
  before: `$known = !K_warm; $resumable = !K_warm && K_resumable; $handshake = K_handle && !K_warm ? @none : @awaited; $client = @none; $lent = @none;
    $browser = K_lazy ? @deferred : @leasing; $acquiring = !K_lazy;`,
  after: 'if (!K_warm) { $client = @here; fire(transport.attached); }',
  moves: [
    {
      when: '!$quiet && $client == @none',
      take: '$client = @here; ev.client = 1; fire(transport.attached);',
    },
    ...['initialize', 'request', 'notification', 'response'].map((kind) => {
      const isCountedKind = ['initialize', 'request'].includes(kind);
      const hasRoom = isCountedKind ? '!tagged(draining) && $working < K_max' : '1';
      const byHandle = kind === 'request' ? '!tagged(early)' : '0';
      const isIn = `(!K_handle || ${byHandle}) && (tagged(early) ? $queued < K_limit : (${hasRoom}))`;
      return {
        when: `!$quiet && ($client == @here || $client == @away) && (${isIn})`,
        take: `$queue[$queued] = @${kind}; $queued++; ev.kind = @${kind}; fire(message.received);`,
      };
    }),
    {
      when: '!$quiet && !K_handle && ($client == @here || $client == @away)',
      take: '$client = @here; fire(transport.attached);',
    },
    ...['client-closed', 'slow-client'].map((because) => ({
      when: '!$quiet && !K_handle && ($client == @here || $client == @away)',
      take: `$client = @away; ev.because = @${because}; fire(transport.detached);`,
    })),
    { when: '$acquiring > 0', take: '$acquiring--; $lent = @up; fire(browser.leased);' },
    {
      when: '$acquiring > 0',
      take: '$acquiring--; $lent = @failed; ev.failure = @unreachable; fire(browser.failed);',
    },
    {
      when: '!$quiet && $acquiring == 0 && ($lent == @down || ($lent == @none && !tagged(early)))',
      take: '$lent = @up; fire(browser.leased);',
    },
    {
      when: '!$quiet && $acquiring == 0 && ($lent == @up || $lent == @down || ($lent == @none && !tagged(early)))',
      take: '$lent = @failed; ev.failure = @unreachable; fire(browser.failed);',
    },
    { when: '!$quiet && $lent == @up', take: '$lent = @down; fire(browser.lost);' },
    { when: '$working > 0', take: '$working--; fire(request.settled);' },
    { when: '!$quiet', take: 'fire(session.drain);' },
    ...['client-closed', 'operator-closed', 'node-lost', 'stale'].map((because) => ({
      when: because === 'stale' ? '!$quiet || $client == @none' : '!$quiet',
      take: `${because === 'client-closed' ? '$client = @gone; ' : ''}ev.because = @${because}; fire(session.close);`,
    })),
    {
      when: '!$quiet && K_resumable && in(session.active)',
      take: `{ int i; for (i = 0; i < sizeof now.s; i++) now.s[i] = 0; for (i = 0; i < sizeof now.t; i++) now.t[i] = 0; }
        put(session) put(session.active) put(session.active.detached)
        $attached = 0; $inFlight = 0; $held = 0; $working = 0; $acquiring = !K_lazy; $client = @here;
        fire(transport.attached);
        if (!K_handle) { $client = @away; ev.because = @client-closed; fire(transport.detached); }`,
    },
    // For the properties alone: from then on nothing comes from outside.
    { when: 'K_quiet && !$quiet', take: '$quiet = 1;' },
  ],
  properties: {
    announced_once: '[] ($twice == 0)',
    announced_where_it_may_be_known:
      '[] ((in(session.connected) || in(session.active)) -> $announced == 1) && [] ((in(session.created) || in(session.tools-registered)) -> $announced == 0)',
    nothing_after_closed: '[] ($late == 0) && [] (in(session.closed) -> [] in(session.closed))',
    closed_when_nothing_comes: '[] ($quiet == 1 -> <> in(session.closed))',
  },
  reachable: { is_active: 'in(session.active)', is_closed: 'in(session.closed)' },
};

const browser: Translation = {
  variables: ['byte connection', 'byte attempts', 'bit wasReady', 'byte version', 'byte failure'],
  bounds: ['max'],
  guards: { canRetry: '$wasReady && $attempts < K_max' },
  actions: {
    countAttempt: () => '$attempts = least($attempts + 1, K_max + 1);',
    resetAttempts: () => '$attempts = 0; $wasReady = 1; $failure = 0;',
    recordVersion: ({ version }) => `$version = ${version};`,
    recordFailure: ({ failure }) => `$failure = ${failure};`,
  },
  starts: { connection: '$connection = @opening;' },
  answers: {},
  before: '$connection = @opening;',
  after: '',
  moves: [
    {
      when: 'runs(connection) && $connection == @opening',
      take: '$connection = @open; ev.version = @version; fire(connection.opened);',
    },
    {
      when: 'runs(connection) && $connection == @opening',
      take: '$connection = @gone; ev.failure = @unreachable; fire(connection.failed);',
    },
    {
      when: 'runs(connection) && $connection == @open',
      take: '$connection = @gone; ev.failure = @unreachable; fire(connection.lost);',
    },
    { when: '1', take: 'fire(browser.wanted);' },
    { when: '1', take: 'fire(browser.close);' },
  ],
  properties: {
    closed_for_good: '[] (in(browser.closed) -> [] in(browser.closed))',
    ready_means_connected: '[] (in(browser.open.ready) -> $connection == @open)',
  },
  reachable: { is_ready: 'in(browser.open.ready)', is_closed: 'in(browser.closed)' },
};

const server: Translation = {
  variables: ['byte listener', 'bit isAccepting', 'bit isDrained', 'bit isAskedToStop', 'byte port', 'byte failure'],
  bounds: [],
  guards: {},
  actions: {
    stopAccepting: () => '$isAccepting = 0;',
    recordPort: ({ port }) => `$port = ${port};`,
    recordFailure: ({ failure }) => `$failure = ${failure};`,
  },
  answers: {
    drainSessions: { done: '$isDrained = 1;', error: '$isDrained = 1;' },
    closeBrowsers: { done: '', error: '' },
  },
  before: '$listener = @opening; $isAccepting = 1;',
  after: '',
  moves: [
    { when: '$listener == @opening', take: '$listener = @open; ev.port = 1; fire(listener.opened);' },
    { when: '$listener != @failed', take: '$listener = @failed; ev.failure = @refused; fire(listener.failed);' },
    { when: '1', take: '$isAskedToStop = 1; fire(server.drain);' },
  ],
  properties: {
    stops_for_good: '[] (in(server.draining) -> [] !in(server.listening))',
    browsers_after_the_port: '[] (in(server.draining.browsers) -> $isAccepting == 0)',
  },
  reachable: { is_listening: 'in(server.listening)', is_stopped: 'in(server.stopped)' },
};

/** Creations in the window, and failures per cent: of a window that is fine, one that fails, and one with too few. */
const windows = [
  [6, 17],
  [5, 100],
  [2, 50],
] as const;

const alert: Translation = {
  variables: ['byte last', 'byte told', 'byte window'],
  globals: 'static int measured, creations, rate;',
  bounds: [],
  guards: { isFailing: 'creations >= 5 && rate >= 20', hasRecovered: 'rate < 20' },
  actions: {
    recordWindow: () => '$window = measured;',
    notifyFiring: () => '$told = @firing;',
    notifyCleared: () => '$told = @cleared;',
  },
  answers: {},
  before: '$last = 1;',
  after: '',
  moves: windows.map(([creations, rate], index) => ({
    when: '1',
    take: `measured = ${index + 1}; creations = ${creations}; rate = ${rate}; $last = measured; fire(window.measured);`,
  })),
  properties: { who_is_told_hears_what_is_so: '[] (in(alert.firing) -> $told == @firing)' },
  reachable: { fires: 'in(alert.firing)', is_cleared: '$told == @cleared' },
};

/** One entry for each chart that is counted twice. */
export const translations: Readonly<Record<string, Translation>> = {
  session,
  browser,
  lease,
  node,
  ownership,
  server,
  alert,
};

export const machineNamed = (name: string): AnyStateMachine => {
  const found = machines.find((each) => each.name === name);
  if (found === undefined) throw new Error(`No chart "${name}".`);
  return found.machine;
};
