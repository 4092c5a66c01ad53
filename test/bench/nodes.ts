import { createClient } from '@redis/client';
import { Nginx } from '../support/nginx.js';
import { RedisServer } from '../support/redisServer.js';
import { startLoad, startMeasured, type Load, type MeasuredServer } from './processes.js';
import { alignedOf, median, spreadOf, type Figure } from './report.js';

/** How many nodes there are, and at which of them a session is talked to; of the last two a proxy decides. */
const shapes = ['no Redis', '1 node', '2 nodes', '3 nodes', 'another node', 'any of 3', 'its own of 3'] as const;
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
  const proxies: Nginx[] = [];
  const measured = new Map<`${Door} ${Shape}`, NodesRound[]>();
  try {
    servers.push(await startMeasured('greenroom'));
    for (const place of ['1/3', '2/3', '3/3'])
      servers.push(await startMeasured('greenroom', undefined, [redis.url, place]));
    const urls = servers.slice(1).map(({ url }) => url);
    for (const choice of ['', 'hash $session;']) proxies.push(await Nginx.start(siteOf(urls, choice)));
    const measuring = { load, servers, proxies, processor: async () => processorIn(await watch.info('cpu')) };
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
    await Promise.all([...servers, ...proxies].map((server) => server.stop()));
    watch.destroy();
    await redis.stop();
  }
}

/** As the page on many nodes shows it, with connections that are kept. */
const siteOf = (urls: readonly string[], choice: string) => (port: number) =>
  `map $http_mcp_param_browser $session {
    default $http_mcp_param_browser; '' $http_mcp_session_id$arg_sessionId;
  }
  upstream nodes { ${choice} ${urls.map((url) => `server ${new URL(url).host};`).join(' ')} keepalive 32; }
  server {
    listen 127.0.0.1:${port}; keepalive_requests 10000000;
    location / {
      proxy_pass http://nodes; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header Host localhost;
    }
  }`;

interface Measured {
  readonly load: Load;
  /** Without and with a choice by the id of the session. */
  readonly proxies: readonly Nginx[];
  /** The first has no Redis. */
  readonly servers: readonly MeasuredServer[];
  /** Of Redis, in milliseconds. */
  processor(): Promise<number>;
}

async function measure(
  { load, servers, proxies, processor }: Measured,
  door: Door,
  shape: Shape,
  count: number,
): Promise<NodesRound> {
  const [alone, ...nodes] = servers;
  const counts: Readonly<Record<Shape, number>> = {
    ...{ 'no Redis': 0, '1 node': 1, '2 nodes': 2, '3 nodes': 3, 'another node': 2, 'any of 3': 3, 'its own of 3': 3 },
  };
  const shaped = shape === 'no Redis' ? [alone] : nodes.slice(0, counts[shape]);
  const used = shaped.filter((server) => server !== undefined);
  const proxied: Partial<Record<Shape, Nginx | undefined>> = { 'any of 3': proxies[0], 'its own of 3': proxies[1] };
  const proxy = proxied[shape];
  const urls = proxy === undefined ? used.map((server) => server.url) : [proxy.url];
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
  { shape: 'its own of 3', other: 'any of 3', atMost: { sse: 1, streamable: 1, handle: 1 } },
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
