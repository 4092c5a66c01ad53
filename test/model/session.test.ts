import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chart, edgeName, inventoryOf, scenariosOf, type Scenario } from './plan.js';
import { World } from './world.js';

const takenEdges = new Set<string>();
const enteredStates = new Set<string>();
/** Kept for a stream that can be resumed, or for a warm session; and two that are left in the step that enters them. */
const notEntered = [
  'session.active.detached',
  'session.active.serving.choosing',
  'session.tools-registered.checking',
  'session.tools-registered.waiting',
];

/** What cannot happen over SSE, and so was not taken: each with its reason. */
const notTaken = {
  'a stream that is lost is the end of the session': [
    'session.active.serving: transport.detached if isResumable -> session.active.detached',
    'session.active.detached: after -> session.closed',
    'session.active.detached: message.received -> stays',
    'session.active.detached: request.settled -> stays',
    'session.active.detached: session.drain -> session.closed',
    'session.active.detached: transport.attached -> session.active.serving',
    'session.active.detached: transport.detached -> stays',
  ],
  'a stream is attached once, when the session is created': [
    'session.tools-registered.leasing: transport.attached -> stays',
    'session.tools-registered: transport.attached -> stays',
    'session.connected: transport.attached -> stays',
    'session.active.serving: transport.attached -> stays',
    'session.active.draining: transport.attached -> stays',
  ],
  'no session is warm here: see test/session/warmSessions.test.ts': [
    'session.tools-registered.waiting: transport.attached -> session.tools-registered.checking',
    'session.tools-registered: browser.lost -> session.closed',
    'session.tools-registered.checking: done -> session.tools-registered.claiming',
    'session.tools-registered.checking: error -> session.tools-registered.leasing',
  ],
  'the message is refused before the chart hears of it': [
    'session.created: message.received -> stays',
    'session.tools-registered: message.received -> stays',
    'session.active.draining: message.received if isRequest -> stays',
  ],
  'nothing that was not delivered can settle': [
    'session.created: request.settled -> stays',
    'session.tools-registered: request.settled -> stays',
    'session.connected: request.settled -> stays',
  ],
  'what is lost is not lost again, and what is leased not leased again': [
    'session.tools-registered.leasing: browser.lost -> stays',
    'session.tools-registered: browser.leased -> stays',
  ],
  'taken before the first snapshot; the state it leads to is entered': [
    'session.created.browser.leasing: always if isLazy -> session.created.browser.deferred',
  ],
};

async function run({ lease, queueLimit, moves }: Scenario): Promise<void> {
  const world = await World.start(lease, queueLimit);
  for (const move of moves) await world.take(move);
  await world.finish();
  for (const edge of world.edges) takenEdges.add(edgeName(edge));
  for (const state of world.states) enteredStates.add(state);
}

test.each(scenariosOf('eager'))('[S1][S2][S3][S5][S7][S8][S9] eager: $name', run);

test.each(scenariosOf('eager', 1))('[S1][S2][S3][S5][S7][S8][S9][S10] eager, one early message is held: $name', run);

test.each(scenariosOf('lazy'))('[S1][S2][S3][S5][S7][S8][S9] lazy: $name', run);

test('[S9] every state and transition of the chart was taken, but those that SSE does not have', () => {
  const { edges, states } = inventoryOf(chart);
  const missed = (all: string[], taken: Set<string>) => all.filter((one) => !taken.has(one)).toSorted();
  expect(missed(edges, takenEdges)).toEqual(Object.values(notTaken).flat().toSorted());
  expect(missed(states, enteredStates)).toEqual(notEntered);
});

/** What visualizations/coverage.svg is drawn from. `RECORD_COVERAGE=1` writes it anew. */
const record = join(process.cwd(), 'visualizations/coverage.json');

test('[S9] the picture of what the tests took is true', async () => {
  const { edges, states } = inventoryOf(chart);
  const reasonOf = (edge: string): string | undefined =>
    Object.entries(notTaken).find(([, missed]) => missed.includes(edge))?.[0];
  const coverage = {
    states: Object.fromEntries(states.map((state) => [state, enteredStates.has(state)])),
    transitions: Object.fromEntries(edges.map((edge) => [edge, takenEdges.has(edge) || (reasonOf(edge) ?? false)])),
  };
  if (process.env['RECORD_COVERAGE'] === '1') await writeFile(record, `${JSON.stringify(coverage, null, 2)}\n`);
  expect(JSON.parse(await readFile(record, 'utf8'))).toEqual(coverage);
});
