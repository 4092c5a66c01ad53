import { sessionMachine, type SessionContext } from '../../machines/index.js';
import { readProofs } from '../../visualizations/proofs.js';
import { root } from '../support/root.js';
import { explore } from './explore.js';
import { isLinearizable } from './linearizability.js';
import { scoreOf } from './mutationScore.js';
import { playAllOrders } from './ownershipPlay.js';
import { freshMemory } from './storeOrders.js';
import { families, prove, stepsOf } from './proofs.js';
import { RealSession } from './realSession.js';
import { SessionWorld, type SessionBounds } from './sessionWorld.js';

const recorded = readProofs(root).proofs;

/** `npm run prove` raises it until no chart has a new state. */
const maxBound = 2;

test.each(families(false))('[S1][S2][S3][S4][S5][S7][S8][S9][S10][S12] hold in every state of $name', ({ world }) => {
  for (let bound = 1; bound <= maxBound; bound += 1) {
    const bounded = world(bound);
    if (bounded === undefined) return;
    const { proof } = prove(bounded);
    expect(proof.counterexamples).toEqual([]);
    expect(proof.isComplete).toBe(true);
    const { world: name, states, transitions, depth, chartStates, layers } = proof;
    // The table of the page: `npm run prove -- --record` renews it.
    expect(recorded).toContainEqual({ world: name, states, transitions, depth, chartStates, layers });
  }
});

// That of the session takes longer: `npm run prove` makes it too.
test.each(['browser', 'lease', 'node', 'ownership', 'server', 'alert'] as const)(
  '[S9] the exploration notices every change of the %s chart',
  (name) => {
    const { mutants, noticed, survivors } = scoreOf(name);
    expect(survivors).toEqual([]);
    expect(noticed.size).toBe(mutants);
    expect(mutants).toBeGreaterThan(20);
  },
);

const kinds: SessionBounds[] = [
  { lease: 'eager', resumable: true, isWarm: true, queueLimit: 1, maxInFlight: 2 },
  { lease: 'lazy', resumable: true, isWarm: false, queueLimit: 2, maxInFlight: 1 },
];

function comparable({ value, context }: { value: unknown; context: SessionContext }): string {
  const { attached, browser, held, handshake, inFlight, closedBecause, failure } = context;
  return JSON.stringify([value, attached, browser, held, handshake, inFlight, closedBecause, failure !== null]);
}

test.each(kinds)('[S1][S2][S4][S9] a real session goes every way of the explored graph: %j', async (bounds) => {
  const world = new SessionWorld(stepsOf(sessionMachine), bounds);
  const { states, edges, pathTo } = explore(world, { keepsEdges: true });
  const paths = states.map((_, id) => pathTo(id));
  const beginnings = new Set(paths.map((path) => path.slice(0, -1).join()));
  const differences: string[] = [];
  // Each way is looked at after every move: one that begins another needs no session of its own.
  for (const path of paths.filter((one) => !beginnings.has(one.join()))) {
    const real = new RealSession(bounds);
    let at = 0;
    for (const move of path) {
      await real.perform(move);
      at = edges.get(`${at} ${move}`) ?? -1;
      const { chart, announced } = states[at] ?? fail(`No such move: ${move}`);
      const { value, context } = world.steps.snapshot(chart);
      const isSame = comparable(real.state) === comparable({ value, context: context as SessionContext });
      if (!isSame || real.channel.announcements !== announced) differences.push(`${path.join(', ')}: at ${move}`);
    }
    const inOrder = real.delivered.toSorted((one, other) => one - other);
    if (real.delivered.join() !== inOrder.join()) differences.push(`${path.join(', ')}: ${real.delivered.join()}`);
    await real.end();
  }
  expect(differences).toEqual([]);
  expect(states.length).toBeGreaterThan(300);
});

test.each([
  { failures: 0, drains: false },
  { failures: 1, drains: false },
])('[S5][S11] one node at most owns a session, in every order of the steps of two nodes: %j', async (bounds) => {
  const { states, violations } = await playAllOrders(bounds, freshMemory);
  expect(Object.fromEntries(violations)).toEqual({});
  expect(states).toBeGreaterThan(100);
});

test('[S11] a history is linearizable if its calls could have been done one after the other, each before its answer', () => {
  /** A number that is read, or raised by one. */
  const counter = (state: number, call: 'read' | 'raise') =>
    call === 'read' ? ([String(state), state] as const) : (['raised', state + 1] as const);
  const raise = { call: 'raise', asked: 0, heard: 3, outcome: 'raised' } as const;
  const read = (asked: number, heard: number, outcome: string) => ({ call: 'read', asked, heard, outcome }) as const;
  expect(isLinearizable([raise, read(1, 2, '0'), read(4, 5, '1')], 0, counter)).toBe(true);
  expect(isLinearizable([raise, read(1, 2, '1')], 0, counter)).toBe(true);
  expect(isLinearizable([raise, read(1, 2, '1'), read(4, 5, '0')], 0, counter)).toBe(false);
  expect(isLinearizable([raise, read(4, 5, '0')], 0, counter)).toBe(false);
  // Whoever died before the answer may have raised it, and may not.
  const died = { call: 'raise', asked: 0, heard: Infinity } as const;
  expect(isLinearizable([died, read(1, 2, '1')], 0, counter)).toBe(true);
  expect(isLinearizable([died, read(1, 2, '0')], 0, counter)).toBe(true);
  expect(isLinearizable([died, read(1, 2, '2')], 0, counter)).toBe(false);
});
