import { createClient } from '@redis/client';
import { RedisServer } from '../support/redisServer.js';
import { startLoad, startMeasured, type Load, type MeasuredServer } from './processes.js';
import { alignedOf, median, spreadOf, type Figure } from './report.js';

/** How many nodes there are, and at which of them a session is talked to. */
const shapes = ['no Redis', '1 node', '2 nodes', '3 nodes', 'another node'] as const;
type Shape = (typeof shapes)[number];

/** One round of one shape. */
export interface NodesRound {
  /** By the clock. All nodes have one core: more of them cannot answer more. */
  readonly perSecond: number;
  /** Processor time of all nodes for one message, in microseconds. */
  readonly micros: number;
  /** The same of Redis. */
  readonly redisMicros: number;
}

export type NodesRounds = ReadonlyMap<`${Door} ${Shape}`, readonly NodesRound[]>;

export interface NodesOptions {
  readonly rounds: number;
  /** Of each round. */
  readonly pings: number;
  report(line: string): void;
}

const clients = 15;
const doors = ['sse', 'streamable', 'handle'] as const;
type Door = (typeof doors)[number];
const turns = doors.flatMap((door) => shapes.map((shape) => ({ door, shape })));

/** The same messages at one process without Redis, and at one, two and three nodes over a real one, in turns. */
export async function measureNodes(options: NodesOptions): Promise<NodesRounds> {
  const redis = await RedisServer.start();
  const watch = createClient({ url: redis.url });
  await watch.connect();
  const load = startLoad();
  const servers: MeasuredServer[] = [];
  const measured = new Map<`${Door} ${Shape}`, NodesRound[]>();
  try {
    servers.push(await startMeasured('greenroom'));
    for (let node = 0; node < 3; node += 1) servers.push(await startMeasured('greenroom', undefined, [redis.url]));
    const measuring = { load, servers, processor: async () => processorIn(await watch.info('cpu')) };
    for (let round = -1; round < options.rounds; round += 1) {
      for (const { door, shape } of turns) {
        const figures = await measure(measuring, door, shape, options.pings);
        const { perSecond, micros, redisMicros } = figures;
        options.report(
          `pings ${door} ${shape}: ${perSecond.toFixed(0)} a second, ${micros.toFixed(0)} µs of processor time each, ${redisMicros.toFixed(0)} of Redis${round < 0 ? ' (warm-up)' : ''}`,
        );
        // The first one warms up.
        if (round >= 0) measured.set(`${door} ${shape}`, [...(measured.get(`${door} ${shape}`) ?? []), figures]);
      }
    }
    return measured;
  } finally {
    await load.stop();
    await Promise.all(servers.map((server) => server.stop()));
    watch.destroy();
    await redis.stop();
  }
}

interface Measured {
  readonly load: Load;
  /** The first has no Redis. */
  readonly servers: readonly MeasuredServer[];
  /** Of Redis, in milliseconds. */
  processor(): Promise<number>;
}

async function measure(
  { load, servers, processor }: Measured,
  door: Door,
  shape: Shape,
  count: number,
): Promise<NodesRound> {
  const [alone, ...nodes] = servers;
  const counts: Readonly<Record<Shape, number>> = {
    ...{ 'no Redis': 0, '1 node': 1, '2 nodes': 2, '3 nodes': 3, 'another node': 2 },
  };
  const shaped = shape === 'no Redis' ? [alone] : nodes.slice(0, counts[shape]);
  const used = shaped.filter((server) => server !== undefined);
  const urls = used.map((server) => server.url);
  const spent = async (): Promise<number> => {
    const each = await Promise.all(used.map((server) => server.processor()));
    return each.reduce((sum, { processorMs }) => sum + processorMs, 0);
  };
  const before = [await spent(), await processor()] as const;
  const [url = ''] = urls;
  const [, other = url] = urls;
  const where = shape === 'another node' ? { url, via: other } : { url, urls };
  const { seconds } = await load.carryOut({ kind: 'pings', door, clients, count, ...where });
  const after = [await spent(), await processor()] as const;
  const micros = (index: 0 | 1): number => ((after[index] - before[index]) * 1_000) / count;
  return { perSecond: count / seconds, micros: micros(0), redisMicros: micros(1) };
}

function processorIn(info: string): number {
  const of = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);
  return (of('used_cpu_user') + of('used_cpu_sys')) * 1_000;
}

/** Processor time of the nodes for one message, of one shape and of another. */
const wanted: readonly {
  readonly shape: Shape;
  readonly other: Shape;
  readonly atMost: Readonly<Record<Door, number>>;
}[] = [
  { shape: '1 node', other: 'no Redis', atMost: { sse: 1.2, streamable: 2.5, handle: 2.5 } },
  { shape: '2 nodes', other: '1 node', atMost: { sse: 1.5, streamable: 1.5, handle: 1.5 } },
  { shape: '3 nodes', other: '1 node', atMost: { sse: 1.5, streamable: 1.5, handle: 1.5 } },
  { shape: 'another node', other: '1 node', atMost: { sse: 2.5, streamable: 2.5, handle: 2.5 } },
];

/** Ratios round by round: what disturbs a round disturbs both. */
export function nodesFigures(rounds: NodesRounds): Figure[] {
  return doors.flatMap((door) =>
    wanted.map(({ shape, other, atMost }) => {
      const others = rounds.get(`${door} ${other}`) ?? [];
      const ratios = (rounds.get(`${door} ${shape}`) ?? []).map(
        ({ micros }, round) => micros / (others[round]?.micros ?? Number.NaN),
      );
      const name = `processor time of a ping, ${door}, ${shape} : ${other}`;
      return { name, ...spreadOf(ratios), wanted: { atMost: atMost[door] }, unit: '' };
    }),
  );
}

/** Medians. */
export function nodesTable(rounds: NodesRounds): string {
  const rows = [...rounds].map(([name, all]) => [
    `pings ${name}`,
    median(all.map(({ perSecond }) => perSecond)).toFixed(0),
    median(all.map(({ micros }) => micros)).toFixed(0),
    median(all.map(({ redisMicros }) => redisMicros)).toFixed(0),
  ]);
  const head = ['medians', 'a second', 'µs of the nodes each', 'µs of Redis each'];
  return `${alignedOf([head, ...rows])}\nAll nodes share one core, and Redis what is left: more nodes cannot answer more here, and processor time is what to compare.`;
}
