import { writeFileSync } from 'node:fs';
import { stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { machines } from '../../machines/index.js';
import { proofRecordPath, type ProofRecord } from '../../visualizations/proofs.js';
import { scoreOf } from './mutationScore.js';
import { playAllOrders } from './ownershipPlay.js';
import { openRedisStore, RedisServer } from '../support/redisServer.js';
import { orderBounds, runSessionOrders } from '../model/sessionOrders.js';
import { scoreScripts } from './scriptMutants.js';
import { inboxLimits, memory, programsOf, opened, runStoreOrders, type StoreUnderTest } from './storeOrders.js';
import { SecondChecker } from './secondChecker.js';
import { families, proveFamily, type Family, type Proof } from './proofs.js';

// npm run prove [-- --deep | --record | --part PART]: explores the charts, the store and the sessions. Exits with 1 if a promise
// does not hold or a change is not noticed. The parts, in this order: charts, store, sessions, changes.
const { values } = parseArgs({
  options: { deep: { type: 'boolean', default: false }, record: { type: 'boolean' }, part: { type: 'string' } },
});
const isDeep = values.deep;
const started = performance.now();
const seconds = (since = started): number => (performance.now() - since) / 1_000;
/** When the current exploration began. */
let begun = started;
const say = (line: string): void => void stdout.write(`${line}\n`);

function show({ world, states, transitions, depth, chartStates, isComplete, counterexamples }: Proof): void {
  const counts = `${states} states, ${transitions} transitions, depth ${depth}, ${chartStates} states of the chart`;
  say(`${world}\n  ${counts}, ${isComplete ? 'complete' : 'NOT complete'}, ${counterexamples.length} violations`);
  for (const { promise, story } of counterexamples) say(`  ${promise}\n    ${story.join('\n    ')}`);
}

/** What is found and not yet expanded is known; what that leads to is not. */
function progress(expanded: number, found: number, depth: number): void {
  const left = ((found - expanded) / expanded) * seconds(begun);
  const spent = `${seconds().toFixed(0)} s, at least ${left.toFixed(0)} s more`;
  say(`  … ${expanded} of at least ${found} states, at depth ${depth}; ${spent}`);
}

interface Score {
  readonly mutants: number;
  readonly noticed: number;
  readonly equivalent: readonly string[];
  readonly survivors: readonly string[];
}

const record: ProofRecord = { proofs: [], orders: [], scores: [] };
let failures = 0;
const checkers = new Map<string, SecondChecker>();

/** The same number of states and transitions, and no property of a run refuted. */
function countAgain({ second }: Family, bound: number, { states, transitions }: Proof): void {
  if (second === undefined) return;
  const checker = checkers.get(second.chart) ?? new SecondChecker(second.chart);
  checkers.set(second.chart, checker);
  const bounds = second.bounds(bound);
  const count = checker.count(bounds);
  const refuted = checker.refuted({ ...bounds, quiet: 1 });
  const isSame = count.states === states && count.transitions === transitions;
  say(`  SPIN: ${count.states} states, ${count.transitions} transitions${isSame ? '' : ', NOT the same'}`);
  for (const name of refuted) say(`  SPIN: refuted: ${name}`);
  failures += Number(!isSame) + refuted.length;
}

function proveCharts(): void {
  for (const family of families(isDeep)) {
    begun = performance.now();
    let bound = 0;
    for (const proof of proveFamily(family, { progress })) {
      show(proof);
      bound += 1;
      countAgain(family, bound, proof);
      failures += proof.counterexamples.length + Number(!proof.isComplete);
      const { world, states, transitions, depth, chartStates, layers } = proof;
      record.proofs.push({ world, states, transitions, depth, chartStates, layers: [...layers] });
    }
    say(`  ${family.name}: the last bound brought no new state of a chart\n`);
  }
  for (const checker of checkers.values()) checker.close();
}

async function proveStore(store: StoreUnderTest): Promise<void> {
  begun = performance.now();
  const { states, moves, depth, violations } = await runStoreOrders(
    programsOf(isDeep ? 'deep' : 'whole'),
    store,
    progress,
  );
  say(`${store.name}: every order of the steps of nodes and clients, any of which may be the last of its node`);
  say(`  ${states} states, ${moves} moves, depth ${depth}, complete, ${violations.size} violations`);
  for (const [promise, story] of violations) say(`  ${promise}\n    ${story}`);
  failures += violations.size;
  record.orders.push({ code: `store in ${store.name}: its steps`, states, steps: moves });
  for (const drains of [false, true]) {
    const bounds = { failures: Number(isDeep || !(drains || store.name === 'Redis')), drains };
    begun = performance.now();
    const played = await playAllOrders(bounds, store.fresh, progress);
    const code = `store in ${store.name}: ownership by two nodes, ${bounds.failures} failed steps${drains ? ', one node stops' : ''}`;
    record.orders.push({ code, states: played.states, steps: played.moves });
    const counts = `${played.states} states, ${played.moves} moves, depth ${played.depth}`;
    say(code);
    say(`  ${counts}, complete, ${played.violations.size} violations`);
    for (const [promise, story] of played.violations) say(`  ${promise}\n    ${story.join('\n    ')}`);
    failures += played.violations.size;
  }
}

async function proveStores(): Promise<void> {
  await proveStore(memory);
  // Not before: what never waits lets no connection live.
  const redis = await RedisServer.start();
  const store = await openRedisStore(redis, inboxLimits);
  await proveStore(opened('Redis', store));
  await store.close();
  await redis.stop();
}

async function proveSessions(): Promise<void> {
  for (const bounds of orderBounds(isDeep ? 5 : 3)) {
    const { orders, runs, pruned, states, violations } = await runSessionOrders(bounds);
    say(`every order of the real code with up to ${bounds.delays} delays: ${bounds.name}`);
    say(`  ${orders} orders, ${runs} run to their end, ${pruned} left at a known state, ${states} states, complete`);
    for (const [promise, story] of violations) say(`  ${promise}\n    ${story.join('\n    ')}`);
    failures += violations.size;
    record.orders.push({ code: `sessions, ${bounds.delays} delays: ${bounds.name}`, states, steps: orders });
  }
}

function score(chart: string, what: string, { mutants, noticed, equivalent, survivors }: Score): void {
  say(`${chart}: ${noticed} of ${mutants} ${what} noticed, ${equivalent.length} change nothing`);
  for (const survivor of survivors) say(`  NOT noticed: ${survivor}`);
  failures += survivors.length;
  record.scores.push({ chart, mutants, noticed, equivalent: equivalent.length });
}

async function scoreChanges(): Promise<void> {
  for (const { name } of machines) {
    const { noticed, ...counts } = scoreOf(name);
    score(name, 'changes', { noticed: noticed.size, ...counts });
  }
  const redis = await RedisServer.start();
  score('scripts of the store', 'steps left out', await scoreScripts(redis));
  await redis.stop();
}

const parts = { charts: proveCharts, store: proveStores, sessions: proveSessions, changes: scoreChanges };
const unknown = values.part !== undefined && !(values.part in parts);
if (unknown) throw new Error(`No part ${values.part}. The parts: ${Object.keys(parts).join(', ')}.`);
for (const [part, run] of Object.entries(parts)) if (values.part === undefined || values.part === part) await run();

const isWhole = values.part === undefined;
if (values.record === true && isWhole && failures === 0) writeFileSync(proofRecordPath, `${JSON.stringify(record)}\n`);
const outcome =
  failures === 0 ? 'complete, 0 violations, every change is noticed or changes nothing' : `${failures} failures`;
say(`${isWhole ? '' : `part ${values.part} alone: `}${outcome}; ${seconds().toFixed(1)} s`);
process.exitCode = failures === 0 ? 0 : 1;
