import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { startPageServer } from '../../../src/selftest/pageServer.js';
import { chartOf, judge, lineOf, type Round } from './judge.js';
import type { Question, Sample } from './server.js';
import { enter, visits, type Transport } from './visits.js';

/**
 * `npm run soak -- --minutes N`: sessions of all transports come in rounds, work on real pages, misbehave and vanish. After
 * each round, when all of them are gone, the server is measured. Exits 1 if memory grew, something was left open, or an
 * error was told that nobody can explain.
 */
const { values } = parseArgs({ options: { minutes: { type: 'string', default: '20' } } });
const endsAt = Date.now() + Number(values.minutes) * 60_000;
const write = (line: string): void => void process.stdout.write(`${line}\n`);
const doors: readonly Transport[] = ['sse', 'streamable', 'webSocket'];
const visitors = 8;
const goneWithinMs = 30_000;
/** A visit that takes longer has failed: it waits for an answer that will not come. */
const longestVisitMs = 120_000;

const pages = await startPageServer();
const server = spawn(
  process.execPath,
  ['--expose-gc', '--no-warnings', fileURLToPath(new URL('./server.js', import.meta.url))],
  {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  },
);
const { url } = (await hear(server)) as { readonly url: string };
const rounds: Round[] = [];
const failures: string[] = [];

while (Date.now() < endsAt && server.exitCode === null) {
  const startedAt = Date.now();
  const number = rounds.length;
  await Promise.all(
    Array.from({ length: visitors }, (_, index) => visit(doors[index % doors.length] ?? 'sse', number + index)),
  );
  if (number % 5 === 0) await visit('stdio', 1);
  rounds.push({ seconds: (Date.now() - startedAt) / 1_000, sample: await whenAllGone() });
  write(lineOf(rounds.length, rounds[number]));
}
const last = await ask('end');
server.disconnect();
await pages.close();

const problems = [...failures, ...judge(rounds, last)];
const folder = await mkdtemp(join(tmpdir(), 'greenroom-soak-'));
await writeFile(join(folder, 'soak.json'), JSON.stringify({ rounds, last, problems }, null, 2));
await writeFile(join(folder, 'soak.svg'), chartOf(rounds));
write(
  `\n${rounds.length} rounds, ${rounds.length * visitors} sessions: ${problems.length === 0 ? 'flat, nothing left, no error' : 'not clean'}`,
);
for (const problem of problems) write(`- ${problem}`);
write(join(folder, 'soak.svg'));
process.exitCode = problems.length === 0 ? 0 : 1;

/** One session, from its door to its end. Every kind of visit comes through every door, in turn. */
async function visit(transport: Transport, turn: number): Promise<void> {
  const kinds = ['works', 'misbehaves', 'works', 'vanishes'] as const;
  const kind = kinds[turn % kinds.length] ?? 'works';
  const visitor = await enter[transport](url);
  const over = new AbortController();
  const late = pause(longestVisitMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`Not over after ${longestVisitMs / 1_000} s.`);
  });
  try {
    await Promise.race([visits[kind](visitor, pages.url), late]);
  } catch (error) {
    failures.push(`${transport} ${kind}: ${String(error)}`);
    await visitor.vanish();
  } finally {
    late.catch(() => undefined);
    over.abort();
  }
}

/** The server at rest: what has vanished is noticed and released, but for what is kept ready for the next client. */
async function whenAllGone(): Promise<Sample> {
  const startedAt = Date.now();
  for (;;) {
    const sample = await ask('sample');
    if (sample.sessions === 0 || Date.now() - startedAt > goneWithinMs) return sample;
    await pause(200);
  }
}

async function ask(question: Question): Promise<Sample> {
  const heard = hear(server);
  server.send(question);
  return (await heard) as Sample;
}

/** The child's next message, or the end of the soak: a server that ends by itself is the worst that it can find. */
async function hear(child: ChildProcess): Promise<unknown> {
  const heard = new AbortController();
  const { signal } = heard;
  const gone = once(child, 'exit', { signal }).then(() => Promise.reject(new Error('The server ended.')));
  const message = await Promise.race([once(child, 'message', { signal }), gone]);
  gone.catch(() => undefined);
  heard.abort();
  return message[0];
}
