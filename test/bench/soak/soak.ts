import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { startPageServer } from '../../../src/selftest/pageServer.js';
import { soakHostile } from './hostile.js';
import { chartOf, judge, lineOf, type Round } from './judge.js';
import { SoakServer } from './soakServer.js';
import { enter, visits, type Transport } from './visits.js';

/**
 * `npm run soak -- --minutes N`: sessions of all transports come in rounds, work on real pages, misbehave and vanish. After
 * each round, when all of them are gone, the server is measured. Exits 1 if memory grew, something was left open, or an
 * error was told that nobody can explain. `--part hostile` does what `hostile.ts` says, once.
 */
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '20' }, part: { type: 'string', default: 'visits' } },
});
const write = (line: string): void => void process.stdout.write(`${line}\n`);
const doors: readonly Transport[] = ['sse', 'streamable', 'webSocket'];
const visitors = 8;
const goneWithinMs = 30_000;
/** A visit that takes longer has failed: it waits for an answer that will not come. */
const longestVisitMs = 120_000;

const failures: string[] = [];
const problems = values.part === 'hostile' ? await soakHostile(write) : await soakVisits(Number(values.minutes));
write(problems.length === 0 ? 'clean: nothing left, no error' : 'not clean');
const counts = new Map<string, number>();
for (const problem of problems) counts.set(problem, (counts.get(problem) ?? 0) + 1);
for (const [problem, count] of counts) write(`- ${count > 1 ? `${count} times: ` : ''}${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;

async function soakVisits(minutes: number): Promise<string[]> {
  const endsAt = Date.now() + minutes * 60_000;
  const pages = await startPageServer();
  const server = await SoakServer.start('visits');
  const rounds: Round[] = [];
  while (Date.now() < endsAt && server.isRunning) {
    const startedAt = Date.now();
    const number = rounds.length;
    const all = Array.from({ length: visitors }, (_, index) =>
      visit({ door: doors[index % doors.length] ?? 'sse', turn: number + index, server, pages: pages.url }),
    );
    await Promise.all(all);
    if (number % 5 === 0) await visit({ door: 'stdio', turn: 1, server, pages: pages.url });
    rounds.push({ seconds: (Date.now() - startedAt) / 1_000, sample: await server.whenAllGone(goneWithinMs) });
    write(lineOf(rounds.length, rounds[number]));
  }
  const last = await server.end();
  await pages.close();
  const found = [...failures, ...judge(rounds, last)];
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-soak-'));
  await writeFile(join(folder, 'soak.json'), JSON.stringify({ rounds, last, problems: found }, null, 2));
  await writeFile(join(folder, 'soak.svg'), chartOf(rounds));
  write(`\n${rounds.length} rounds, ${rounds.length * visitors} sessions\n${join(folder, 'soak.svg')}`);
  return found;
}

interface VisitOptions {
  readonly door: Transport;
  readonly turn: number;
  readonly server: SoakServer;
  readonly pages: string;
}

/** One session, from its door to its end. Every kind of visit comes through every door, in turn. */
async function visit({ door, turn, server, pages }: VisitOptions): Promise<void> {
  const kinds = ['works', 'misbehaves', 'works', 'vanishes'] as const;
  const kind = kinds[turn % kinds.length] ?? 'works';
  const visitor = await enter[door](server.url);
  const over = new AbortController();
  const late = pause(longestVisitMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`Not over after ${longestVisitMs / 1_000} s.`);
  });
  try {
    await Promise.race([visits[kind](visitor, pages), late]);
  } catch (error) {
    failures.push(`${door} ${kind}: ${String(error)}`);
    await visitor.vanish();
  } finally {
    late.catch(() => undefined);
    over.abort();
  }
}
