import { join } from 'node:path';
import type { Door } from './load.js';
import { startLoad, startMeasured, type Load, type MeasuredServer } from './processes.js';
import { sharesOf, type Shares } from './profile.js';

/** Servers that do the same work: this one, the plain SDK, and the runtime without either. */
export const serverNames = ['greenroom', 'plainSdk', 'bare'] as const;
export type ServerName = (typeof serverNames)[number];

export interface BenchOptions {
  readonly rounds: number;
  /** Of each round. */
  readonly sessions: number;
  readonly pings: number;
  readonly doors: readonly Door[];
  /** Sessions of the measurements that need many. */
  readonly idle: number;
  readonly crowd: number;
  /** The folder in which a profile of each rate is left. */
  readonly folder: string;
  report(line: string): void;
}

/** One figure of one server, once for each round. */
export interface Series {
  readonly name: string;
  readonly unit: string;
  readonly values: Readonly<Record<ServerName, readonly number[]>>;
}

/** The unit of rates by processor time. */
export const perProcessorSecond = 'a second of processor time';

const clients = 16;

/**
 * Rates: the servers take turns in every round, so that what slows the machine slows all of them. By the clock, and by the
 * server's processor time, which is steady also while the machine does other work.
 */
export async function measureRates(kind: 'sessions' | 'pings', door: Door, options: BenchOptions): Promise<Series[]> {
  const perSecond: Record<ServerName, number[]> = { greenroom: [], plainSdk: [], bare: [] };
  const perSpentSecond: Record<ServerName, number[]> = { greenroom: [], plainSdk: [], bare: [] };
  const servers: [ServerName, MeasuredServer][] = [];
  const count = options[kind];
  const load = startLoad();
  try {
    for (const name of serverNames) servers.push([name, await startMeasured(name)]);
    for (let round = -1; round < options.rounds; round += 1) {
      for (const [name, server] of servers) {
        const before = await server.processor();
        const { seconds } = await load.carryOut({ kind, url: server.url, door: doorAt(name, door), clients, count });
        const processorMs = (await server.processor()).processorMs - before.processorMs;
        const micros = ((processorMs * 1_000) / count).toFixed(0);
        options.report(
          `${kind} ${door} ${name}: ${(count / seconds).toFixed(0)} a second, ${micros} µs of processor time each${round < 0 ? ' (warm-up)' : ''}`,
        );
        // The first one warms up.
        if (round < 0) continue;
        perSecond[name].push(count / seconds);
        perSpentSecond[name].push((count * 1_000) / processorMs);
      }
    }
  } finally {
    for (const [, server] of servers) await server.stop();
    await load.stop();
  }
  const name = `${kind} ${door}`;
  return [
    { name, unit: 'a second', values: perSecond },
    { name, unit: perProcessorSecond, values: perSpentSecond },
  ];
}

/** The plain SDK has no revision without sessions: it does the same work in its own. */
function doorAt(name: ServerName, door: Door): Door {
  return name === 'plainSdk' && door === 'stateless' ? 'streamable' : door;
}

/** Where this server's processor time goes at one rate, measured apart: a profile costs time of its own. */
export async function profileRate(kind: 'sessions' | 'pings', door: Door, options: BenchOptions): Promise<Shares> {
  const file = join(options.folder, `${kind}-${door}.cpuprofile`);
  const [server, load] = [await startMeasured('greenroom', file), startLoad()];
  try {
    await load.carryOut({ kind, url: server.url, door, clients, count: options[kind] });
  } finally {
    await server.stop();
    await load.stop();
  }
  return sharesOf(file);
}

/** What sessions share is loaded once these have come and gone. */
const fewSessions = 50;

export interface Footprint {
  /** Bytes for each idle session. */
  readonly heap: number;
  readonly resident: number;
}

/**
 * What an idle session holds. Resident: against a server that has seen a few only, since what a crowd leaves to the heap is
 * used again. Heap: against one that has seen as many come and go, without what the first of all of them make once.
 */
export async function measureFootprint(name: ServerName, options: BenchOptions): Promise<Footprint> {
  const [server, load] = [await startMeasured(name), startLoad()];
  const fill = { kind: 'fill', url: server.url, door: 'sse', count: options.idle } as const;
  try {
    await load.carryOut({ ...fill, count: fewSessions });
    await load.carryOut({ kind: 'empty' });
    const fresh = await server.memory();
    await load.carryOut(fill);
    const resident = ((await server.memory()).resident - fresh.resident) / options.idle;
    await load.carryOut({ kind: 'empty' });
    const before = await server.memory();
    await load.carryOut(fill);
    const heap = ((await server.memory()).heap - before.heap) / options.idle;
    options.report(`idle session ${name}: heap ${heap.toFixed(0)}, resident ${resident.toFixed(0)} bytes`);
    return { heap, resident };
  } finally {
    await server.stop();
    await load.stop();
  }
}

export interface Crowding {
  /** Milliseconds: p99 of a ping with a hundred open sessions, and with `crowd`. */
  readonly few: number;
  readonly many: number;
}

/** Whether a ping takes longer when many sessions are open, once for each round. */
export async function measureCrowding(options: BenchOptions): Promise<readonly Crowding[]> {
  const [server, load] = [await startMeasured('greenroom'), startLoad()];
  const { url } = server;
  const rounds: Crowding[] = [];
  try {
    await pings(load, url, options.pings);
    for (let round = 0; round < options.rounds; round += 1) {
      await load.carryOut({ kind: 'fill', url, door: 'sse', count: 100 });
      const few = await pings(load, url, options.pings);
      await load.carryOut({ kind: 'fill', url, door: 'sse', count: options.crowd - 100 });
      const many = await pings(load, url, options.pings);
      await load.carryOut({ kind: 'empty' });
      rounds.push({ few, many });
      options.report(
        `p99 of a ping: ${few.toFixed(2)} ms with 100 sessions, ${many.toFixed(2)} ms with ${options.crowd}`,
      );
    }
    return rounds;
  } finally {
    await server.stop();
    await load.stop();
  }
}

async function pings(load: Load, url: string, count: number): Promise<number> {
  return (await load.carryOut({ kind: 'pings', url, door: 'sse', clients, count })).p99;
}
