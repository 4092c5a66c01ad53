import { cpuUsage } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../../src/clock.js';
import { isActorObservation, type ActorObservation } from '../../../src/telemetry/observer.js';
import { Journal } from '../../../src/inspector/journal.js';
import { createOrchestrator } from '../../../src/server/orchestrator.js';
import type { Session } from '../../../src/session/session.js';
import { FakeBrowserPool } from '../../support/fakeBrowserPool.js';

/** What `bench:inspector` asks of the server that it looks at. Sessions are opened from outside, and pinged here, in turns. */
export type Order =
  /** As fast as it goes. */
  | { readonly kind: 'pings'; readonly count: number }
  | { readonly kind: 'pace'; readonly eventsASecond: number; readonly seconds: number }
  /** The observations of some pings, folded into a journal again by themselves. */
  | { readonly kind: 'fold' };

export interface Outcome {
  /** Pings, events or observed pings. */
  readonly count: number;
  readonly seconds: number;
  /** Of this process, in all its threads. */
  readonly cpuMs: number;
}

export type Told = { readonly url: string } | Outcome;

const many = 100_000;
const limits = { maxSessions: many, maxSessionsPerUser: many, connectRate: 1e9, requestRate: 1e9 };
let seen: ActorObservation[] | undefined;
const { registry, listen } = await createOrchestrator({
  pool: new FakeBrowserPool(),
  tools: [],
  options: { port: 0, prewarm: 0, initializeTimeout: '2h', idleTimeout: '2h', ...limits },
  observe: (observation) => {
    if (seen !== undefined && isActorObservation(observation)) seen.push(observation);
  },
});

let id = 0;

function ping(sessions: readonly Session[]): void {
  id += 1;
  void sessions[id % sessions.length]?.receive({ jsonrpc: '2.0', id, method: 'ping' });
}

async function pings(count: number): Promise<number> {
  const sessions = registry.list();
  for (let sent = 0; sent < count; sent += 1) {
    ping(sessions);
    if (sent % 100 === 0) await pause(0);
  }
  return count;
}

/** A ping is an event that arrives and one that settles it. */
async function pace(eventsASecond: number, seconds: number): Promise<number> {
  const sessions = registry.list();
  const start = performance.now();
  let events = 0;
  while (performance.now() - start < seconds * 1_000) {
    const due = ((performance.now() - start) / 1_000) * eventsASecond;
    for (; events < due; events += 2) ping(sessions);
    await pause(10);
  }
  return events;
}

async function observePings(count: number): Promise<readonly ActorObservation[]> {
  const observed: ActorObservation[] = [];
  seen = observed;
  await pings(count);
  seen = undefined;
  return observed;
}

async function carryOut(order: Order): Promise<Outcome> {
  const rounds = 20;
  const observed = order.kind === 'fold' ? await observePings(2_000) : [];
  const journal = new Journal(systemClock, () => undefined);
  const [startedAt, before] = [performance.now(), cpuUsage()];
  let count = 0;
  if (order.kind === 'pings') count = await pings(order.count);
  else if (order.kind === 'pace') count = await pace(order.eventsASecond, order.seconds);
  else {
    for (let round = 0; round < rounds; round += 1) for (const observation of observed) journal.record(observation);
    count = rounds * 2_000;
  }
  const { user, system } = cpuUsage(before);
  return { count, seconds: (performance.now() - startedAt) / 1_000, cpuMs: (user + system) / 1_000 };
}

const tell = (told: Told): void => void process.send?.(told);
process.on('message', (order: Order) => void carryOut(order).then(tell));
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
const { url } = await listen();
tell({ url });
