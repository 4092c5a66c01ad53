import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { resumeOverHttp, useWarmSession, ChartCoverage } from './otherTransports.js';
import { initialTransition, transition, type StateValue } from 'xstate';
import { chart, edgeName, inputOf, inventoryOf, scenariosOf, withoutSetup, type Scenario } from './plan.js';
import { traces } from './gates.js';
import { sessionWorlds, stepsOf } from '../prove/proofs.js';
import { goEveryWay, stepsOutside } from '../prove/traces.js';
import { HandleWorld } from './handleWorld.js';
import { World } from './world.js';

const takenEdges = new Set<string>();
const enteredStates = new Set<string>();

/** What the server never lets happen, and so was not taken: each with its reason. */
const unreachable = {
  'whatever a client sends first attaches it again': [
    'session.active.detached: message.received -> stays',
    'session.active.detached: transport.detached -> stays',
  ],
  'a stream is attached once, when the session is created': [
    'session.tools-registered.leasing: transport.attached -> stays',
    'session.tools-registered: transport.attached -> stays',
    'session.connected: transport.attached -> stays',
    'session.active.serving: transport.attached -> stays',
    'session.active.draining: transport.attached -> stays',
  ],
  'the message is refused before the chart hears of it': [
    'session.created: message.received -> stays',
    'session.tools-registered: message.received -> stays',
    'session.active.draining: message.received if isRequest -> stays',
  ],
  'nothing that was not delivered can settle': [
    'session.created: request.settled -> stays',
    'session.tools-registered: request.settled -> stays',
  ],
  'what is lost is not lost again, and what is leased not leased again': [
    'session.tools-registered.leasing: browser.lost -> stays',
    'session.tools-registered: browser.leased -> stays',
  ],
};

/** Left before the first snapshot: the transitions out of it are told below. */
const leftAtOnce = 'session.created.tools.unregistered';

async function run({ moves, ...setting }: Scenario): Promise<void> {
  const world = await World.start(setting);
  for (const move of moves) await world.perform(move);
  await world.finish();
  for (const edge of world.edges) takenEdges.add(edgeName(edge));
  for (const state of world.states) enteredStates.add(state);
}

test.each(scenariosOf('eager'))('[S1][S2][S3][S5][S7][S8][S9] eager: $name', run);

test.each(scenariosOf('eager', 1))('[S1][S2][S3][S5][S7][S8][S9][S10] eager, one early message is held: $name', run);

test.each(scenariosOf('lazy'))('[S1][S2][S3][S5][S7][S8][S9] lazy: $name', run);

async function runByHandle({ moves, ...setting }: Scenario, hasEarlier: boolean): Promise<void> {
  const world = await HandleWorld.start(setting, hasEarlier);
  for (const move of moves) await world.perform(move);
  await world.finish();
  for (const edge of world.edges) takenEdges.add(edgeName(edge));
}

const callsIn = ({ moves }: Scenario): number => moves.filter(({ kind }) => kind === 'request').length;

const shared = scenariosOf('lazy', 0, 'by its handle').filter((scenario) => callsIn(scenario) > 0);
const byHandle = [...scenariosOf('eager', 0, 'by its handle'), ...shared];

test.each(byHandle)('[S1][S2][S3][S5][S6][S7][S8][S9] a browser by its handle, $lease: $name', (scenario) =>
  runByHandle(scenario, shared.includes(scenario) || callsIn(scenario) > 1),
);

test.each(withoutSetup)('[S1][S2][S9] $lease, nothing to set up: $name', run);

test('[S9][C-RESUME] a session over Streamable HTTP that loses its streams waits, goes on, or ends', async () => {
  await collect(resumeOverHttp);
});

test('[S9] a warm session is handed over, given another browser first, or closed as stale', async () => {
  await collect(useWarmSession);
});

async function collect(drive: (taken: ChartCoverage) => Promise<void>): Promise<void> {
  const taken = new ChartCoverage();
  await drive(taken);
  for (const edge of taken.edges) takenEdges.add(edge);
  for (const state of taken.states) enteredStates.add(state);
}

test('[S9] every state and transition of the chart was taken, but those that the server never lets happen', () => {
  const { edges, states } = inventoryOf(chart);
  const missed = (all: string[], taken: Set<string>) => all.filter((one) => !taken.has(one)).toSorted();
  expect(missed(edges, takenEdges)).toEqual(Object.values(unreachable).flat().toSorted());
  expect(missed(states, enteredStates)).toEqual([leftAtOnce]);
});

test('[S9] every step of every chart is one of the explored graphs', () => {
  expect(stepsOutside(traces.steps)).toEqual([]);
  expect(traces.steps.length).toBeGreaterThan(100);
});

test('[S9] no way of the explored graph takes what the server never lets happen, and every other transition is on one', () => {
  const steps = stepsOf(chart);
  for (const queueLimit of [0, 1])
    for (const world of sessionWorlds(steps, { queueLimit, maxInFlight: 2, isServed: true })) goEveryWay(world);
  const possible = new Set([...steps.edges].map(edgeName));
  // What follows by itself in the same step is no event.
  const events = inventoryOf(chart).edges.filter((edge) => !/: (always|done -> session\.tools-registered$)/.test(edge));
  const never = events.filter((edge) => !possible.has(edge));
  expect(never.toSorted()).toEqual(Object.values(unreachable).flat().toSorted());
});

/** A situation in which the chart would take a transition that it stays by, and the event. */
function situationOf(edge: string) {
  const [, state = '', type = '', guard] = /^session\.([\w.-]+): ([\w.]+)(?: if (\w+))? -> stays$/.exec(edge) ?? [];
  // The states within take for themselves what comes while they wait.
  const path = (state === 'tools-registered' ? `${state}.claiming` : state).split('.');
  const named = path.reduceRight<StateValue | undefined>(
    (inner, name) => (inner ? { [name]: inner } : name),
    undefined,
  );
  const { context, value: initial } = initialTransition(chart, inputOf('eager', 0))[0];
  // Not every state within can be seen: the first one of `created` is left at once.
  const value = state === 'created' ? initial : named;
  const before = chart.resolveState({ value: value ?? '', context: { ...context, browser: 'ready', inFlight: 1 } });
  const kind = guard === 'isRequest' ? 'request' : 'notification';
  // By its type alone: nothing else of it is looked at.
  return { before, event: { type, kind } as never };
}

test('[S9] what the server never lets happen the chart answers all the same, and stays where it is', () => {
  for (const edge of Object.values(unreachable).flat()) {
    const { before, event } = situationOf(edge);
    expect(chart.getTransitionData(before, event).map(edgeName)).toEqual([edge]);
    expect(transition(chart, before, event)[0].value).toEqual(before.value);
  }
  const lazy = { created: { browser: 'deferred', tools: 'registering' } };
  expect(initialTransition(chart, inputOf('lazy', 0))[0].value).toEqual(lazy);
  const ready = { 'tools-registered': 'waiting' };
  expect(initialTransition(chart, inputOf('lazy', 0, 'none'))[0].value).toEqual(ready);
});

/** What visualizations/coverage.svg is drawn from. `RECORD_COVERAGE=1` writes it anew. */
const record = join(process.cwd(), 'visualizations/coverage.json');

test('[S9] the picture of what the tests took is true', async () => {
  const { edges, states } = inventoryOf(chart);
  const reasonOf = (edge: string): string | undefined =>
    Object.entries(unreachable).find(([, missed]) => missed.includes(edge))?.[0];
  const coverage = {
    states: Object.fromEntries(states.map((state) => [state, enteredStates.has(state) || state === leftAtOnce])),
    transitions: Object.fromEntries(edges.map((edge) => [edge, takenEdges.has(edge) || (reasonOf(edge) ?? false)])),
  };
  if (process.env['RECORD_COVERAGE'] === '1') await writeFile(record, `${JSON.stringify(coverage, null, 2)}\n`);
  expect(JSON.parse(await readFile(record, 'utf8'))).toEqual(coverage);
});
