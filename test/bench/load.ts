import {
  Connection,
  openHandle,
  openSse,
  openStateless,
  openStreamable,
  type OpenSession,
  type RawSession,
} from './rawClient.js';

/** What the measuring process asks of the load process. `count` sessions or pings in all, `clients` at a time. */
export type Order =
  /** Short sessions: each initialises, reads the list of tools, pings five times and leaves. */
  | {
      readonly kind: 'sessions';
      readonly url: string;
      readonly door: Door;
      readonly clients: number;
      readonly count: number;
    }
  /** Pings, one after the other on each of `clients` sessions. */
  | {
      readonly kind: 'pings';
      readonly url: string;
      /** Among which the clients are spread; instead of `url`. */
      readonly urls?: readonly string[];
      /** Where everything is posted that comes after the session's opening. */
      readonly via?: string;
      readonly door: Door;
      readonly clients: number;
      readonly count: number;
    }
  /** Opens so many idle sessions and keeps them. */
  | { readonly kind: 'fill'; readonly url: string; readonly door: Door; readonly count: number }
  | { readonly kind: 'empty' };

export type Door = 'sse' | 'streamable' | 'stateless' | 'handle';

export interface Outcome {
  readonly seconds: number;
  /** Milliseconds, of each ping. */
  readonly p50: number;
  readonly p99: number;
}

const doors: Readonly<Record<Door, OpenSession>> = {
  sse: openSse,
  streamable: openStreamable,
  stateless: openStateless,
  handle: openHandle,
};
const pingsOfAVisit = 5;
const filling = 32;
const kept: { session: RawSession; posts: Connection }[] = [];

async function carryOut(order: Order): Promise<Outcome> {
  const startedAt = performance.now();
  const times: number[] = [];
  let begun = 0;
  /** Takes one of what is still to be done. */
  const take = (): boolean => order.kind !== 'empty' && (begun += 1) <= order.count;
  if (order.kind === 'empty') await Promise.all(kept.splice(0).map(leave));
  else if (order.kind === 'fill') await inParallel(filling, () => keepFilling(order, take));
  else if (order.kind === 'sessions') await inParallel(order.clients, () => comeAndGo(order, take));
  else await inParallel(order.clients, (client) => keepPinging(nearOf(order, client), take, times));
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0;
  return { seconds: (performance.now() - startedAt) / 1000, p50: at(0.5), p99: at(0.99) };
}

interface Target {
  readonly url: string;
  readonly via?: string | undefined;
  readonly door: Door;
}

function nearOf(
  { url, urls = [url], via, door }: Target & { readonly urls?: readonly string[] },
  client: number,
): Target {
  return { url: urls[client % urls.length] ?? url, via, door };
}

async function keepFilling(target: Target, take: () => boolean): Promise<void> {
  while (take()) kept.push(await enter(target));
}

async function comeAndGo({ url, door }: Target, take: () => boolean): Promise<void> {
  const posts = new Connection(url);
  while (take()) {
    const session = await doors[door](url, posts);
    await session.ask(2, 'tools/list');
    for (let id = 3; id < 3 + pingsOfAVisit; id += 1) await session.ping(id);
    await session.close();
  }
  posts.close();
}

async function keepPinging(target: Target, take: () => boolean, times: number[]): Promise<void> {
  const entered = await enter(target);
  for (let id = 2; take(); id += 1) {
    const sentAt = performance.now();
    await entered.session.ping(id);
    times.push(performance.now() - sentAt);
  }
  await leave(entered);
}

async function enter({ url, via, door }: Target): Promise<{ session: RawSession; posts: Connection }> {
  const posts = new Connection(via ?? url);
  return { session: await doors[door](url, posts), posts };
}

async function leave({ session, posts }: { session: RawSession; posts: Connection }): Promise<void> {
  await session.close();
  posts.close();
}

function inParallel(count: number, work: (index: number) => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, (_, index) => work(index)));
}

process.on('message', (order: Order) => {
  void carryOut(order).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
