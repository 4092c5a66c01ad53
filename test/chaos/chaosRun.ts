import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { formatKey } from '../../src/cluster/redis/redisKeys.js';
import { messageOf } from '../../src/errors/errors.js';
import { stepsOutside } from '../prove/traces.js';
import { findViolations, type Violation } from './invariants.js';
import { reasonOf, request, type ClientOptions } from './chaosClient.js';
import { Fleet } from './fleet.js';
import { History, now, type HistoryEvent } from './history.js';
import { planOf } from './faultPlan.js';
import { Random } from './random.js';
import { openSse } from './sseClient.js';
import { openStreamable } from './streamableClient.js';

export interface RunOptions {
  readonly seed: number;
  readonly faults: number;
  /** The compiled node.ts. */
  readonly program: string;
  /** No fault begins after so many milliseconds. */
  readonly maxDurationMs: number;
  readonly leaseMs: number;
  readonly clients: number;
  /** How long anything is waited for, in milliseconds. */
  readonly waitTimeoutMs: number;
  /** See `violationsOf`. */
  readonly pausedMs: number;
  report(line: string): void;
}

export interface Outcome {
  readonly history: readonly HistoryEvent[];
  readonly violations: readonly Violation[];
  /** Faults that were made. */
  readonly faults: number;
  readonly seconds: number;
}

const nodes = 3;
const users = ['ann', 'bob', 'cat', 'dan'] as const;
/** Messages that a client sends before it waits for their answers. */
const maxBurst = 3;

/** Makes the faults of a seed while clients are at work, and checks what happened. Leaves nothing behind. */
export async function run(options: RunOptions): Promise<Outcome> {
  const startedAt = now();
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-chaos-'));
  const fleet = await Fleet.start({ folder, nodes, ...options });
  const history = new History();
  try {
    const faultsMade = await injectFaults(fleet, history, options);
    for (const left of await leftovers(fleet, options.waitTimeoutMs)) history.record({ type: 'left', what: left });
    await fleet.endNodes();
    for (const name of fleet.stuck)
      history.record({ type: 'left', what: `the process of ${name}, which was asked to end` });
    const ledgerText = await readFile(join(folder, 'ledger.jsonl'), 'utf8').catch(() => '');
    const ledger = ledgerText.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as HistoryEvent]));
    const whole = [...history.events, ...ledger].toSorted((one, other) => one.at - other.at);
    return {
      history: whole,
      violations: [...findViolations(whole, options.pausedMs), ...findSteps(whole)],
      faults: faultsMade,
      seconds: (now() - startedAt) / 1_000,
    };
  } finally {
    await fleet.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every trace of a chart is a way of its explored graph. */
function findSteps(history: readonly HistoryEvent[]): Violation[] {
  const steps = history.flatMap((each) => (each.type === 'step' ? [each] : []));
  return stepsOutside(steps).map((what) => ({ invariant: 'left', what: `a chart left its explored graph: ${what}` }));
}

/** Resolves with the number of faults when all are over and every client has left. */
async function injectFaults(fleet: Fleet, history: History, options: RunOptions): Promise<number> {
  const { seed, waitTimeoutMs, clients, leaseMs, faults, maxDurationMs, report } = options;
  const over = new AbortController();
  const claims: Promise<void>[] = [];
  const sessions: { id: string; user: string }[] = [];
  const activities = Array.from({ length: clients }, (_, index) => {
    const user = users[index % users.length] ?? 'ann';
    const clientOptions: ClientOptions = {
      ...{ history, nodes, patienceMs: waitTimeoutMs, user, name: `c${index}` },
      random: new Random(seed * 1_000 + index),
      urlOf: (node) => fleet.urlOf(node),
      onAnnounced: (session) => {
        sessions.push({ id: session, user });
        claims.push(fleet.redis.userOf(session).then((is) => history.record({ type: 'claimed', session, user: is })));
      },
    };
    return runClient(clientOptions, index % 3 === 0 ? openSse : openStreamable, () => over.signal.aborted);
  });
  activities.push(
    runIntruder(fleet, history, sessions, { seed, patienceMs: waitTimeoutMs, isOver: () => over.signal.aborted }),
  );
  const failed = (error: unknown): void => history.record({ type: 'left', what: messageOf(error) });
  const lanes = new Map<string, Promise<void>>();
  const until = now() + maxDurationMs;
  let made = 0;
  for (const fault of planOf({ seed, count: faults, nodes, leaseMs })) {
    await pause(fault.afterMs);
    if (now() > until) break;
    // What befalls one node, or Redis, comes one after the other; the rest overlaps.
    const isOfAll = fault.kind === 'roll';
    const lane = fault.kind === 'evict' || fault.kind === 'restart' ? 'redis' : String(fault.node);
    const before = isOfAll ? Promise.all(lanes.values()) : lanes.get(lane);
    const turn = (before ?? Promise.resolve()).then(async () => {
      history.record({ type: 'fault', kind: fault.kind, node: fault.node, ms: fault.ms });
      await fleet.inflict(fault).catch(failed);
    });
    for (const each of isOfAll ? ['0', '1', '2'] : [lane]) lanes.set(each, turn);
    made += 1;
    if (made % 20 === 0) report(`${made} faults`);
    // A plan that runs ahead of what can be done would only pile up.
    await Promise.race(lanes.values());
  }
  await Promise.all(lanes.values());
  await Promise.all(fleet.nodes.map((node) => node.whenReady().catch(failed)));
  over.abort();
  await Promise.all(activities);
  await Promise.all(claims);
  return made;
}

/** One session after the other, each with some messages, until it is over. */
async function runClient(
  options: ClientOptions,
  open: typeof openSse | typeof openStreamable,
  isOver: () => boolean,
): Promise<void> {
  const { random, name } = options;
  let count = 0;
  while (!isOver()) {
    const session = await open(options);
    if (session === null) {
      await pause(50);
      continue;
    }
    const bursts = random.between(3, 30);
    const hasMore = (): boolean => !session.isOver && !isOver();
    for (let turn = 0; turn < bursts && hasMore(); turn += 1) {
      const settled: Promise<void>[] = [];
      for (let index = random.between(1, maxBurst); index > 0 && hasMore(); index -= 1) {
        count += 1;
        const holdMs = random.next() < 0.3 ? random.between(20, 300) : 0;
        settled.push((await session.callNote(`${name}-${count}`, holdMs)).settled);
      }
      await Promise.all(settled);
      await pause(random.between(0, 60));
    }
    await session.leave();
  }
}

interface IntruderOptions {
  readonly seed: number;
  readonly patienceMs: number;
  isOver(): boolean;
}

/** Asks for sessions of others, who are not to be found. */
async function runIntruder(
  fleet: Fleet,
  history: History,
  sessions: readonly { readonly id: string; readonly user: string }[],
  { seed, patienceMs, isOver }: IntruderOptions,
): Promise<void> {
  const random = new Random(seed + 1);
  while (!isOver()) {
    await pause(100);
    const victim = sessions[sessions.length - random.between(1, 12)];
    if (victim === undefined) continue;
    const stranger = random.pick(users);
    const url = fleet.urlOf(random.between(0, nodes - 1));
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 'stranger', method: 'tools/list' });
    const isSse = random.next() < 0.5;
    const path = isSse ? `/message?sessionId=${victim.id}&userId=${stranger}` : `/mcp?userId=${stranger}`;
    const named = { ...headers, ...(!isSse && { 'mcp-session-id': victim.id }) };
    if (stranger === victim.user) continue;
    const reply = await request(patienceMs, new URL(path, url).href, { method: 'POST', headers: named, body });
    if (typeof reply === 'string') continue;
    const { status, json } = reply;
    history.record({ type: 'foreign', session: victim.id, status, reason: reasonOf(json, '') });
  }
}

const sessionKeyPattern = /^greenroom:\{([^}]+)\}(?::(inbox|snapshot|events|order|counts))?$/;

/** What is there when every client has left, and should not be. */
async function leftovers(fleet: Fleet, patienceMs: number): Promise<string[]> {
  const until = now() + patienceMs;
  let sessions = await fleet.sessions();
  while (sessions > 0 && now() < until) {
    await pause(200);
    sessions = await fleet.sessions();
  }
  // First which are closed: one that is being closed has its keys a moment longer.
  const closed = new Set(await fleet.redis.closedAmong(await fleet.redis.keys()));
  const keys = await fleet.redis.keys();
  const ofEnded = keys.filter(({ key }) => {
    const [, id, kind] = sessionKeyPattern.exec(key) ?? [];
    return id !== undefined && kind !== undefined && closed.has(`greenroom:{${id}}`);
  });
  const alive = keys.filter(({ key }) => key.startsWith('greenroom:node:')).length;
  return [
    ...(sessions > 0 ? [`${sessions} sessions in /health`] : []),
    ...keys.filter(({ key, ttl }) => ttl === -1 && key !== formatKey).map(({ key }) => `the key ${key}, for ever`),
    ...ofEnded.map(({ key }) => `the key ${key} of a session that is closed`),
    ...(alive > nodes ? [`${alive} nodes in Redis`] : []),
  ];
}
