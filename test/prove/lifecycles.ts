import {
  alertEventTypes,
  browserEventTypes,
  leaseEventTypes,
  serverEventTypes,
  type Failure,
} from '../../machines/events.js';
import { answersOf, runs, type Happening, type Lifecycle, type Situation } from './lifecycleWorld.js';

const failure: Failure = { reason: 'browser_failed', message: 'It did not answer.' };

interface ConnectionFacts {
  /** What the process or the socket does. */
  readonly connection: 'opening' | 'open' | 'over';
}

/** A browser or the connection to one: it answers, fails, is lost, hangs, and is asked for again. */
export const browserLifecycle = (maxAttempts: number): Lifecycle<ConnectionFacts> => ({
  name: `browser: ${maxAttempts} attempts`,
  eventTypes: browserEventTypes,
  input: { id: 'b', mode: 'attach', maxAttempts },
  facts: { connection: 'opening' },
  happenings(situation) {
    const isOpen = runs(situation, 'connection');
    const { connection } = situation.facts;
    const opened: Happening<ConnectionFacts> = {
      ...{ by: 'answer', isGood: true, event: { type: 'connection.opened', version: 'Chrome/150' } },
      facts: { connection: 'open' },
    };
    const ending = (type: string, by: 'answer' | 'outside'): Happening<ConnectionFacts> => ({
      ...{ by, event: { type, failure } },
      facts: { connection: 'over' },
    });
    return [
      ...(isOpen && connection === 'opening' ? [opened, ending('connection.failed', 'answer')] : []),
      ...(isOpen && connection === 'open' ? [ending('connection.lost', 'outside')] : []),
      { by: 'outside', event: { type: 'browser.wanted' } },
      { by: 'outside', event: { type: 'browser.close' } },
    ];
  },
  act: (facts, action) => (action === 'start connection' ? { connection: 'opening' } : facts),
  // Of a browser that was never ready again, every attempt that somebody asks for is counted.
  abstract: (context) => ({
    ...context,
    attempts: Math.min(Number((context as Record<string, unknown>)['attempts']), maxAttempts + 1),
  }),
  promises(situation) {
    const { snapshot, facts } = situation;
    const { attempts, wasReady, failure: cause, version } = snapshot.context as Record<string, unknown>;
    const isReady = snapshot.matches({ open: 'ready' });
    return {
      'S5: a connection runs while the browser is open': runs(situation, 'connection') === snapshot.matches('open'),
      'S5: it is pinged while it is ready': runs(situation, 'heartbeat') === isReady,
      'S8: ready is what answers': !runs(situation, 'connection') || isReady === (facts.connection === 'open'),
      'S8: why it is not there is known': isReady || snapshot.matches('open') ? true : cause !== null,
      'S8: what is ready has no failure and a version':
        !isReady || (cause === null && version !== null && attempts === 0),
      'S8: one that was never ready fails at once': !snapshot.matches('lost') || wasReady === true,
      'S10: it is retried by itself a bounded number of times':
        !snapshot.matches('lost') || Number(attempts) < maxAttempts,
      'S10: it is retried until its attempts are used up':
        !snapshot.matches('failed') || wasReady !== true || Number(attempts) >= maxAttempts,
    };
  },
  stepPromises: ({ snapshot, facts }, { type }, after) => ({
    'S8: who asks for a failed browser has it tried again':
      type !== 'browser.wanted' || !snapshot.matches('failed') || after.snapshot.matches({ open: 'connecting' }),
    'S5: it is closed when it is asked to': type !== 'browser.close' || after.snapshot.status === 'done',
    'S8: a browser that hangs or is lost is given up':
      facts.connection !== 'open' || type !== 'connection.lost' || !after.snapshot.matches('open'),
  }),
  mayRest: ({ snapshot }) => snapshot.matches('failed') || snapshot.matches({ open: 'ready' }),
  isAwaited: ({ snapshot }) => snapshot.matches({ open: 'connecting' }),
});

interface LeaseFacts {
  readonly placement: 'none' | 'opening' | 'open';
  /** Whether it is known what was open before. */
  readonly isKept: boolean;
  /** `stale`: the browser was lost meanwhile, so that it can only fail. */
  readonly move: 'none' | 'running' | 'stale' | 'over';
  readonly isEnded: boolean;
  /** What was done and told in the last step. */
  readonly told: readonly string[];
}

/** The losses that are told apart: one more than any rule looks at. */
const maxLosses = 2;

/** The browser lease of one session: placements open and fail, browsers die and hang, and a tool needs a process. */
export const leaseLifecycle = (isolation: 'auto' | 'context', isResumed: boolean): Lifecycle<LeaseFacts> => ({
  name: `lease: ${isolation === 'auto' ? 'may move' : 'stays'}${isResumed ? ', restored' : ''}`,
  eventTypes: leaseEventTypes,
  input: { isolation, isResumed },
  facts: {
    placement: 'none',
    isKept: isResumed,
    move: isolation === 'auto' ? 'none' : 'over',
    isEnded: false,
    told: [],
  },
  happenings: leaseHappenings,
  act(facts, action, violate) {
    const { placement, move } = facts;
    if (action === 'startOpening') {
      if (placement !== 'none') violate('S5: a placement is opened beside another');
      return { ...facts, placement: 'opening' };
    }
    if (action === 'startMove') {
      if (move !== 'none') violate('S5: the session moves twice');
      return { ...facts, move: 'running' };
    }
    return action.startsWith('start ') ? facts : { ...facts, told: [...facts.told, action] };
  },
  abstract: (context) => ({
    ...context,
    losses: Math.min(Number((context as Record<string, unknown>)['losses']), maxLosses),
  }),
  promises(situation) {
    const { snapshot, facts } = situation;
    const { placement, isKept, move, isEnded } = facts;
    const at = (state: object | string): boolean => snapshot.matches({ leased: { placement: state } });
    const isMoving = move === 'running' || move === 'stale';
    return {
      'S5: it is released when the session has ended': snapshot.matches('releasing') === isEnded,
      'S5: everything is closed then': runs(situation, 'closeAll') === isEnded,
      'S8: what is being opened is waited for': isEnded || at('opening') === (placement === 'opening'),
      'S6: calls use what is open': isEnded || at('open') === (placement === 'open'),
      'S8: what was open is restored': isEnded || snapshot.hasTag('restorable') === (isKept && placement !== 'open'),
      'S5: it moves once at a time': isEnded || snapshot.matches({ leased: { process: 'moving' } }) === isMoving,
      'S6: it is settled when it has moved, or cannot':
        isEnded || snapshot.matches({ leased: { process: 'settled' } }) === (move === 'over'),
    };
  },
  stepPromises: leaseSteps,
  mayRest: ({ facts }) => !facts.isEnded && facts.placement !== 'opening' && facts.move !== 'running',
  isAwaited: ({ facts }) => facts.placement === 'opening' && !facts.isEnded,
});

function leaseHappenings({ facts, actors }: Situation<LeaseFacts>): Happening<LeaseFacts>[] {
  const { placement, isKept, move, isEnded } = facts;
  const happening = (
    by: Happening<LeaseFacts>['by'],
    type: string,
    change: Partial<LeaseFacts> = {},
    isGood = false,
  ): Happening<LeaseFacts> => ({ by, isGood, event: { type }, facts: { ...facts, told: [], ...change } });
  const isOpen = placement === 'open';
  const stale = move === 'running' ? 'stale' : move;
  const gone = { placement: 'none', move: stale } as const;
  const ended = { isEnded: true, placement: isOpen ? 'none' : placement, move: stale } as const;
  const isMoving = move === 'running' || move === 'stale';
  // Both come to their end before everything is closed.
  const isBusy = placement === 'opening' || isMoving;
  return [
    happening('outside', 'browser.wanted'),
    happening('outside', 'move.wanted'),
    happening('outside', 'session.ended', isEnded ? {} : ended),
    ...(placement === 'opening' && !isEnded
      ? [happening('own', 'placement.opened', { placement: 'open', isKept: false }, true)]
      : []),
    ...(placement === 'opening' ? [happening('own', 'placement.failed', { placement: 'none' })] : []),
    ...(isOpen
      ? [
          happening('outside', 'browser.lost', { ...gone, isKept: true }),
          happening('outside', 'context.closed', { ...gone, isKept: true }),
          happening('outside', 'browser.hung', { ...gone, isKept }),
        ]
      : []),
    ...(move === 'running' && isOpen ? [happening('own', 'move.completed', { move: 'over' })] : []),
    ...(isMoving ? [happening('own', 'move.failed', { move: 'none' })] : []),
    ...(isBusy
      ? []
      : answersOf<LeaseFacts>({ actors, timers: [] }, 'closeAll').map((one) => ({
          ...one,
          facts: { ...facts, told: [] },
        }))),
  ];
}

const lossActions: Readonly<Record<string, readonly string[]>> = {
  'browser.lost': ['keepRecord', 'reportLost'],
  'context.closed': ['keepPages', 'reportLost', 'reportReady'],
  'browser.hung': ['dropPlacement'],
};

function leaseSteps(
  { snapshot, facts }: Situation<LeaseFacts>,
  { type }: { readonly type: string },
  after: Situation<LeaseFacts>,
): Record<string, boolean> {
  const lossesIn = (at: Situation<LeaseFacts>): number =>
    Number((at.snapshot.context as Readonly<Record<string, unknown>>)['losses']);
  const { told, placement, move } = after.facts;
  const isWanted = type === 'browser.wanted' && facts.placement === 'none' && !facts.isEnded;
  const isMove = type === 'move.wanted' && facts.move === 'none' && !facts.isEnded;
  return {
    'S8: a lost browser is told, and what was in it kept': told.join() === (lossActions[type] ?? []).join(),
    'S10: only what dies counts as a loss':
      lossesIn(after) - lossesIn({ ...after, snapshot }) === (type === 'browser.lost' ? 1 : 0),
    'S8: who needs a browser gets one opened': !isWanted || placement === 'opening',
    'S6: who needs a process gets one': !isMove || move === 'running',
    'S5: nothing is left when everything is closed': (after.snapshot.status === 'done') === /closeAll|actor/.test(type),
  };
}

interface ServerFacts {
  readonly listener: 'opening' | 'open' | 'failed';
  readonly isAccepting: boolean;
  readonly isDrained: boolean;
  /** Whether the sessions have ended, or their time is over. */
  readonly isAskedToStop: boolean;
}

/** One server process: its port opens or fails, it is asked to stop, and its sessions and browsers end or hang. */
export const serverLifecycle: Lifecycle<ServerFacts> = {
  name: 'server',
  eventTypes: serverEventTypes,
  input: {},
  facts: { listener: 'opening', isAccepting: true, isDrained: false, isAskedToStop: false },
  happenings(situation) {
    const { facts } = situation;
    const opened = { by: 'answer', isGood: true, event: { type: 'listener.opened', port: 4000 } } as const;
    const failed: Happening<ServerFacts> = {
      ...{ by: 'outside', event: { type: 'listener.failed', failure } },
      facts: { ...facts, listener: 'failed' },
    };
    return [
      ...(facts.listener === 'opening' ? [{ ...opened, facts: { ...facts, listener: 'open' as const } }] : []),
      ...(facts.listener === 'failed' ? [] : [failed]),
      { by: 'outside', event: { type: 'server.drain' }, facts: { ...facts, isAskedToStop: true } },
      ...answersOf<ServerFacts>(situation, 'drainSessions', 'answer').map((one) => ({
        ...one,
        facts: { ...facts, isDrained: true },
      })),
      ...answersOf<ServerFacts>(situation, 'closeBrowsers', 'answer'),
    ];
  },
  act(facts, action, violate) {
    if (action !== 'stopAccepting') return facts;
    if (!facts.isAccepting) violate('S5: the port is closed twice');
    return { ...facts, isAccepting: false };
  },
  promises(situation) {
    const { snapshot, facts } = situation;
    const { port, failure: cause } = snapshot.context as Record<string, unknown>;
    const isEnding = snapshot.matches('draining');
    return {
      'S5: the listener is owned until the end': runs(situation, 'listener'),
      'S3: it listens when its port is open, until it stops':
        isEnding || snapshot.matches('listening') === (facts.listener === 'open'),
      'S8: a port that fails ends the server, with its cause':
        facts.listener !== 'failed' || (isEnding && cause !== null),
      'S3: it stops when it is asked to, and not otherwise':
        isEnding === (facts.isAskedToStop || facts.listener === 'failed'),
      'S3: the port of a server that listens is known': !snapshot.matches('listening') || port !== null,
      'S5: the port is closed before the browsers': facts.isAccepting !== snapshot.matches({ draining: 'browsers' }),
      'S5: sessions are ended first': runs(situation, 'drainSessions') === snapshot.matches({ draining: 'sessions' }),
      'S5: then browsers': runs(situation, 'closeBrowsers') === snapshot.matches({ draining: 'browsers' }),
    };
  },
  stepPromises: ({ snapshot }, { type }, after) => ({
    'S5: browsers are closed when the sessions are':
      !snapshot.matches({ draining: 'sessions' }) ||
      after.snapshot.matches({ draining: 'browsers' }) === /drain(Sessions|Timeout)|actor/.test(type),
    'S5: it stops when the browsers are closed':
      !snapshot.matches({ draining: 'browsers' }) ||
      (after.snapshot.status === 'done') === /closeTimeout|actor/.test(type),
  }),
  mayRest: ({ snapshot }) => snapshot.matches('starting') || snapshot.matches('listening'),
  isAwaited: ({ snapshot }) => snapshot.matches('starting'),
};

interface AlertFacts {
  /** The last measurement. */
  readonly window: 'fine' | 'failing' | 'few';
  readonly told: 'nothing' | 'firing' | 'cleared';
}

const windows = {
  fine: { creations: 6, failures: 1, rate: 1 / 6, cause: 'browser-failed' },
  failing: { creations: 5, failures: 5, rate: 1, cause: 'browser-failed' },
  few: { creations: 2, failures: 1, rate: 0.5, cause: 'browser-failed' },
} as const;

/** The alert: the share of failures rises and falls, and there may be too few creations to judge. */
export const alertLifecycle: Lifecycle<AlertFacts> = {
  name: 'alert',
  eventTypes: alertEventTypes,
  input: { failureRate: 0.2, minCreations: 5 },
  facts: { window: 'fine', told: 'nothing' },
  happenings: ({ facts }) =>
    (['fine', 'failing', 'few'] as const).map((detail) => ({
      ...{ by: 'outside', isGood: detail === 'fine', facts: { ...facts, window: detail } },
      event: { type: 'window.measured', window: windows[detail], detail },
    })),
  act(facts, action, violate) {
    if (action === 'notifyFiring') {
      if (facts.told === 'firing') violate('S4: told twice that the alert fires');
      return { ...facts, told: 'firing' };
    }
    if (action !== 'notifyCleared') return facts;
    if (facts.told !== 'firing') violate('S4: cleared without having fired');
    return { ...facts, told: 'cleared' };
  },
  promises(situation) {
    const { snapshot, facts } = situation;
    const { window } = snapshot.context as Record<string, unknown>;
    return {
      'S4: who is told hears what is so': (facts.told === 'firing') === snapshot.matches('firing'),
      'S5: the window slides while it may matter': runs(situation, 'slideWindow') === !snapshot.matches('ok'),
      'S4: the last measurement is known':
        window === undefined ||
        facts.told !== 'firing' ||
        JSON.stringify(window) === JSON.stringify(windows[facts.window]),
    };
  },
  stepPromises: (before, { type, window }, after) => alertSteps(before, type, after, window),
  mayRest: ({ snapshot }) => !snapshot.matches('pending'),
  isAwaited: ({ snapshot }) => !snapshot.matches('ok'),
  isEnd: () => false,
};

function alertSteps(
  { snapshot }: Situation<AlertFacts>,
  type: string,
  after: Situation<AlertFacts>,
  window: unknown,
): Record<string, boolean> {
  const { window: last } = after.facts;
  const isMeasured = type === 'window.measured';
  const stays = after.snapshot.value === snapshot.value;
  return {
    'S4: each measurement is recorded':
      !isMeasured ||
      JSON.stringify((after.snapshot.context as Record<string, unknown>)['window']) === JSON.stringify(window),
    'S4: it is pending when too many fail, of enough':
      !isMeasured || !snapshot.matches('ok') || after.snapshot.matches('pending') === (last === 'failing'),
    'S4: it is over when it has recovered, not when few try':
      !isMeasured || snapshot.matches('ok') || (last === 'fine' ? after.snapshot.matches('ok') : stays),
    'S4: it fires when it is confirmed': isMeasured || after.snapshot.matches('firing'),
  };
}
