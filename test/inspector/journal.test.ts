import { Journal } from '../../src/inspector/journal.js';
import type { ActorObservation } from '../../src/telemetry/observer.js';
import { ManualClock } from '../support/manualClock.js';

const clock = new ManualClock();
const facts = {
  user: 'anna',
  transport: 'sse',
  client: null,
  createdAt: new Date(0),
  toolCalls: 0,
  browserState: 'ready',
  browserActor: 'launch-1',
};

function transition(
  actor: string,
  from: string,
  to: string,
  more: { value?: unknown; context?: object } = {},
): ActorObservation {
  const { value = to, context = {} } = more;
  const at = clock.now();
  const event = { type: 'some.cause' };
  return {
    kind: 'transition',
    machine: 'session',
    actor,
    from,
    to,
    cause: event.type,
    at,
    durationMs: 0,
    event,
    value,
    context,
  };
}

const message = (actor: string): ActorObservation => ({
  at: clock.now(),
  kind: 'event',
  machine: 'session',
  actor,
  state: 'active',
  event: { type: 'message.received' },
});

test('[C-INSPECTOR] a whole session id, which would let anyone in, never leaves the journal', () => {
  const id = 'abcdefgh-the-rest-is-secret';
  const journal = new Journal(clock, () => facts);
  journal.record(transition(id, '', 'created'));
  expect(JSON.stringify([journal.rows(), journal.detail('abcdefgh', 0)])).not.toContain('secret');
  expect(journal.rows()).toMatchObject([{ id: 'abcdefgh', user: 'anna', state: 'created', closedBecause: null }]);
});

test.each([
  ['ownership', { owned: 'claimed' }, 'owned.claimed'],
  ['lease', { leased: { placement: 'lost' } }, 'leased.placement.lost'],
])(
  '[C-INSPECTOR] the state of its %s is beside a session, and not in the list of all actors',
  (machine, value, leaf) => {
    const journal = new Journal(clock, () => facts);
    const owned = { ...transition('session-', '', 'first', { value }), machine };
    journal.record(owned);
    expect(journal.detail('session-', 0)).toBeNull();
    journal.record(transition('session-a', '', 'created'));
    const before = journal.track('session-')?.version;
    journal.record(owned);
    expect(journal.detail('session-', 0)?.beside).toMatchObject([{ machine, leaves: [leaf] }]);
    expect(journal.track('session-')?.version).not.toBe(before);
    expect(journal.actors).toEqual([]);
  },
);

test('[C-INSPECTOR] a reader gets the entries that are newer than what it has, and nothing else', () => {
  const journal = new Journal(clock, () => facts);
  journal.record(transition('session-a', '', 'created'));
  expect(journal.detail('session-', 0)?.entries).toHaveLength(1);
  expect(journal.detail('session-', 1)?.entries).toEqual([]);
});

test('[S10] of one session the newest entries are kept, and a gap in their numbers shows what went', () => {
  const journal = new Journal(clock, () => facts, { entriesPerSession: 20 });
  journal.record(transition('session-a', '', 'created'));
  for (let count = 0; count < 50; count += 1) journal.record(message('session-a'));
  expect(journal.detail('session-', 0)?.entries.map(({ seq }) => seq)).toEqual(
    Array.from({ length: 20 }, (_, i) => i + 32),
  );
});

test('[S10] the more sessions there are, the less is kept of each', () => {
  const journal = new Journal(clock, () => facts, { totalEntries: 400 });
  for (let index = 0; index < 20; index += 1) journal.record(transition(`number${index + 10}`, '', 'created'));
  for (let count = 0; count < 50; count += 1) journal.record(message('number15'));
  expect(journal.detail('number15', 0)?.entries).toHaveLength(20);
});

test('[S10] closed sessions can be looked at until newer ones need their place', () => {
  let known: typeof facts | undefined = facts;
  const journal = new Journal(clock, () => known, { closedSessions: 2 });
  for (const actor of ['session1', 'session2', 'session3']) {
    journal.record(transition(actor, '', 'created'));
    journal.record(
      transition(actor, 'created', 'closed', { context: { closedBecause: 'setup-timeout', failure: null } }),
    );
  }
  known = undefined;
  expect(journal.rows()).toMatchObject([
    { id: 'session2', user: 'anna', state: 'closed', closedBecause: 'setup-timeout' },
    { id: 'session3' },
  ]);
  expect(journal.detail('session1', 0)).toBeNull();
});

test('[C-INSPECTOR] the browser of a session is the one that it uses now, also after it moved to another', () => {
  let browserActor: string | null = null;
  const journal = new Journal(clock, () => ({ ...facts, browserActor }));
  journal.record(transition('session-a', '', 'created'));
  const browsers = ['launch-1', 'launch-2', null].map((id) => {
    browserActor = id;
    return journal.detail('session-', 0)?.browser;
  });
  expect(browsers).toEqual(['launch-1', 'launch-2', null]);
});

test('[C-INSPECTOR] each state is given the time that was spent in it and in what is inside it', () => {
  const journal = new Journal(clock, () => facts);
  journal.record(transition('session-a', '', 'active', { value: { active: { serving: 'idle' } } }));
  clock.advance(300);
  const step = {
    kind: 'step',
    machine: 'session',
    actor: 'session-a',
    cause: 'message.received',
    context: {},
  } as const;
  journal.record({ ...step, at: clock.now(), value: { active: { serving: 'busy' } } });
  clock.advance(50);
  journal.record({ ...step, at: clock.now(), value: { active: { serving: 'busy' } } });
  expect(journal.detail('session-', 0)).toMatchObject({
    leaves: ['active.serving.busy'],
    dwell: { active: 350, 'active.serving': 350, 'active.serving.idle': 300, 'active.serving.busy': 50 },
    entries: [{ kind: 'state' }, { kind: 'state', from: ['active.serving.idle'], to: ['active.serving.busy'] }],
  });
});
