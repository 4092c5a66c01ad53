import { Connection, openSse, openStreamable, type OpenSession, type RawSession } from './rawClient.js';

/** What the measuring process asks of the load process. Each is bounded: by time, or by the number of sessions. */
export type Order =
  /** Opens, initialises and closes sessions, `clients` at a time. */
  | {
      readonly kind: 'sessions';
      readonly url: string;
      readonly door: Door;
      readonly clients: number;
      readonly ms: number;
    }
  /** Pings, one after the other on each of `clients` sessions. */
  | { readonly kind: 'pings'; readonly url: string; readonly door: Door; readonly clients: number; readonly ms: number }
  /** Opens so many idle sessions and keeps them. */
  | { readonly kind: 'fill'; readonly url: string; readonly door: Door; readonly count: number }
  | { readonly kind: 'empty' };

export type Door = 'sse' | 'streamable';

export interface Outcome {
  /** Sessions, or pings. */
  readonly count: number;
  readonly seconds: number;
  /** Milliseconds, of each ping. */
  readonly p50: number;
  readonly p99: number;
}

const doors: Readonly<Record<Door, OpenSession>> = { sse: openSse, streamable: openStreamable };
const filling = 32;
const kept: { session: RawSession; posts: Connection }[] = [];

async function carryOut(order: Order): Promise<Outcome> {
  const startedAt = performance.now();
  const times: number[] = [];
  let count = 0;
  if (order.kind === 'empty') {
    await Promise.all(kept.splice(0).map(leave));
  } else if (order.kind === 'fill') {
    await inParallel(filling, async () => {
      while (count < order.count) {
        count += 1;
        kept.push(await enter(order));
      }
    });
  } else {
    const isOver = (): boolean => performance.now() - startedAt >= order.ms;
    const work = order.kind === 'sessions' ? comeAndGo : keepPinging;
    await inParallel(order.clients, async () => {
      count += await work(order, isOver, times);
    });
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0;
  return { count, seconds: (performance.now() - startedAt) / 1000, p50: at(0.5), p99: at(0.99) };
}

interface Target {
  readonly url: string;
  readonly door: Door;
}

async function comeAndGo({ url, door }: Target, isOver: () => boolean): Promise<number> {
  const posts = new Connection(url);
  let count = 0;
  while (!isOver()) {
    const session = await doors[door](url, posts);
    await session.close();
    count += 1;
  }
  posts.close();
  return count;
}

async function keepPinging(target: Target, isOver: () => boolean, times: number[]): Promise<number> {
  const entered = await enter(target);
  let id = 2;
  while (!isOver()) {
    const sentAt = performance.now();
    await entered.session.ping(id);
    times.push(performance.now() - sentAt);
    id += 1;
  }
  await leave(entered);
  return id - 2;
}

async function enter({ url, door }: Target): Promise<{ session: RawSession; posts: Connection }> {
  const posts = new Connection(url);
  return { session: await doors[door](url, posts), posts };
}

async function leave({ session, posts }: { session: RawSession; posts: Connection }): Promise<void> {
  await session.close();
  posts.close();
}

function inParallel(count: number, work: () => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, work));
}

process.on('message', (order: Order) => {
  void carryOut(order).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
