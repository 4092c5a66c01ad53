import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { intruders, pageIntruders, shortVisits, type Door, type Intruder } from './crowd.js';
import { keepPinging, within } from './goodClient.js';
import { judgeEnd } from './judge.js';
import type { Sample } from './server.js';
import { SoakServer } from './soakServer.js';

const connects = 20_000;
const hostileClients = 500;
/** Of them, with a page each. */
const withPages = 30;
const goodClients = 12;
const atOnce = 48;
/** Hostile clients that come at the same time; each stays until the end. */
const enteringAtOnce = 24;
/** The users of the hostile clients and of the short connects. The good clients are another one. */
const users = 50;
/** What is kept of those that have ended, and what is used for the first time, is there before it is measured. */
const warmUpConnects = 10_000;
const goneWithinMs = 90_000;
const answerWithinMs = 60_000;
const visitWithinMs = 120_000;
/** By which the heap may be larger afterwards, in bytes: tombstones that the warm-up left room for, compiled code. */
const growth = 12 * 1024 ** 2;
/** A heap that shrinks by less between two samples is at rest. */
const steadyBytes = 256 * 1024;

/**
 * 20,000 short connects, of which most are cut off somewhere, and 500 hostile clients, while good clients ping: every ping is
 * answered, no session is left, and the heap is as large as before. Resolves with what is wrong.
 */
export async function soakHostile(write: (line: string) => void): Promise<string[]> {
  const server = await SoakServer.start('hostile');
  const problems: string[] = [];
  const { url } = server;
  await connectShortly(url, warmUpConnects, problems);
  for (const intruder of everyIntruder(Object.keys(allIntruders).length)) await (await intruder(doorOf(url, 0)))();
  const before = await atRest(server);
  write(`before: ${describe(before)}`);

  const stop = new AbortController();
  setMaxListeners(goodClients, stop.signal);
  const pinging = Promise.allSettled(
    Array.from({ length: goodClients }, (_, turn) =>
      keepPinging(url, turn, { signal: stop.signal, withinMs: answerWithinMs }),
    ),
  );
  const startedAt = performance.now();
  const entering = enterAll(url);
  await connectShortly(url, connects, problems);
  write(`${connects} connects after ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  const entered = await entering;
  write(`${entered.length} of ${hostileClients} hostile clients stay`);
  const seconds = (performance.now() - startedAt) / 1_000;
  // They stay for a while, with everything that they could make the server keep.
  await pause(2_000);
  const during = await server.ask('sample');
  write(`during: ${describe(during)}`);
  stop.abort();
  const times = (await pinging).flatMap((ping) => {
    if (ping.status === 'fulfilled') return ping.value;
    problems.push(`A good client: ${String(ping.reason)}`);
    return [];
  });
  await Promise.allSettled(entered.map((leave) => leave()));
  const after = await atRest(server);
  write(`after:  ${describe(after)}`);
  const last = await server.end();
  times.sort((one, other) => one - other);
  const quantile = (share: number): string => (times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(1);
  write(
    `${connects} connects and ${hostileClients} hostile clients in ${seconds.toFixed(0)} s; ${times.length} pings, ms: p50 ${quantile(0.5)}, p99 ${quantile(0.99)}, most ${quantile(1)}`,
  );
  return [...problems, ...judgeHostile(before, after, last)];
}

/** Resolves with what makes those leave that came in. Who is refused or ended has been answered, too. */
async function enterAll(url: string): Promise<(() => Promise<void>)[]> {
  const left = [...everyIntruder(hostileClients).entries()];
  const entered: (() => Promise<void>)[] = [];
  const enterSome = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [turn, intruder] = next;
      const leave = await within(visitWithinMs, intruder(doorOf(url, turn))).catch(() => undefined);
      if (leave !== undefined) entered.push(leave);
    }
  };
  await Promise.all(Array.from({ length: enteringAtOnce }, enterSome));
  return entered;
}

/** All sessions are gone, and what they held is released: browser contexts and sockets take a while. */
async function atRest(server: SoakServer): Promise<Sample> {
  let sample = await server.whenAllGone(goneWithinMs);
  for (const endsAt = Date.now() + goneWithinMs; Date.now() < endsAt;) {
    const { heap } = sample;
    await pause(3_000);
    sample = await server.ask('sample');
    if (sample.heap > heap - steadyBytes) break;
  }
  return sample;
}

function judgeHostile(before: Sample, after: Sample, last: Sample): string[] {
  const problems = judgeEnd(last);
  if (after.sessions > 0) problems.push(`${after.sessions} sessions are left.`);
  const grown = after.heap - before.heap;
  if (grown > growth)
    problems.push(`The heap grew by ${inMebibytes(grown)}; at most ${inMebibytes(growth)} is wanted.`);
  return problems;
}

async function connectShortly(url: string, count: number, problems: string[]): Promise<void> {
  const visits = Object.entries(shortVisits);
  let begun = 0;
  const visitor = async (): Promise<void> => {
    for (let turn = begun++; turn < count; turn = begun++) {
      const [name, visit] = visits[turn % visits.length] ?? [];
      if (visit === undefined) return;
      await within(answerWithinMs, visit(doorOf(url, turn))).catch((error: unknown) =>
        problems.push(`${String(name)}: ${String(error)}`),
      );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, visitor));
}

const allIntruders = { ...intruders, ...pageIntruders };

function everyIntruder(count: number): Intruder[] {
  const without = Object.values(intruders);
  const pages = Object.values(pageIntruders);
  const pageCount = Math.min(withPages, Math.ceil((count * pages.length) / (without.length + pages.length)));
  return Array.from({ length: count }, (_, turn) => {
    const kinds = turn < pageCount ? pages : without;
    return kinds[turn % kinds.length] ?? (() => Promise.resolve(() => Promise.resolve()));
  });
}

const doorOf = (url: string, turn: number): Door => ({ url, user: `user-${turn % users}` });

const inMebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

const describe = ({ heap, resident, peak, sessions, heldMs }: Sample): string =>
  `heap ${inMebibytes(heap)}, resident ${inMebibytes(resident)}, at most ${inMebibytes(peak)}, ${sessions} sessions, loop held ${heldMs.toFixed(0)} ms`;
