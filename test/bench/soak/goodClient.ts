import { setTimeout as pause } from 'node:timers/promises';
import { RawWebSocket } from '../../support/rawWebSocket.js';
import { Connection, openSse, openStateless, openStreamable, type OpenSession } from '../rawClient.js';

const goodDoors: readonly OpenSession[] = [
  openSse,
  openStreamable,
  openStateless,
  async (url) => {
    const socket = await new RawWebSocket(url).whenInitialized();
    const ask = async (id: number, method: string): Promise<void> => {
      await socket.call(id, method);
      socket.frames.splice(0);
    };
    return { ask, ping: (id) => ask(id, 'ping'), close: () => socket.disconnect() };
  },
];

/**
 * A client that pings, one ping after the other, until it is stopped. Resolves with the milliseconds that each took; rejects
 * if one is answered with anything else, or not in time.
 */
export async function keepPinging(url: string, turn: number, { signal, withinMs }: PingOptions): Promise<number[]> {
  const posts = new Connection(url);
  const session = await (goodDoors[turn % goodDoors.length] ?? openSse)(url, posts);
  const times: number[] = [];
  for (let id = 2; !signal.aborted; id += 1) {
    const sentAt = performance.now();
    await within(withinMs, session.ping(id));
    times.push(performance.now() - sentAt);
    await pause(20, undefined, { signal }).catch(() => undefined);
  }
  await session.close();
  posts.close();
  return times;
}

interface PingOptions {
  readonly signal: AbortSignal;
  readonly withinMs: number;
}

/** Rejects if it takes longer. */
export async function within<T>(withinMs: number, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = pause(withinMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`Not over within ${withinMs / 1_000} s.`);
  });
  late.catch(() => undefined);
  return Promise.race([work, late]).finally(() => over.abort());
}
