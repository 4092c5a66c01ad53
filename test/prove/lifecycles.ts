import { alertEventTypes, browserEventTypes, serverEventTypes, type Failure } from '../../machines/events.js';
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
