import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { argv, env, exit, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import puppeteer, { type Page } from 'puppeteer-core';
import { findExecutable } from '../../src/browser/process/executable.js';
import type { Order, Outcome, Told } from './servers/inspected.js';

/**
 * What the inspector costs the server, and whether its page stays smooth: `npm run bench:inspector -- --seconds 600`.
 * Exits 1 past a limit. The server has a process of its own; what it pays is told in its own CPU time, of which other
 * work on the machine takes nothing, and rounds with and without a viewer take turns.
 */
const sessionCount = 1_000;
const eventsASecond = 500;
const pings = 8_000;
const rounds = 40;
const lineEnd = 10;
const limits = { serverCost: 0.05, longTaskMs: 200, heapGrowth: 1.5 };

const seconds = Number(argv[argv.indexOf('--seconds') + 1]) || 60;
const say = (line: string): void => void stdout.write(`${line}\n`);

const child = fork(fileURLToPath(new URL('./servers/inspected.js', import.meta.url)));
const told = await hears(child);
if (!('url' in told)) throw new Error('The server did not say where it listens.');
const { url } = told;
await openSessions();
const isCheap = [await measureFold(), await measureViewer()].every((holds) => holds);
const isSmooth = await measurePage();
say(
  `load of the machine: ${loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')}`,
);
child.kill('SIGKILL');
exit(isCheap && isSmooth ? 0 : 1);

async function hears(server: ChildProcess): Promise<Told> {
  const [answer] = (await once(server, 'message')) as [Told];
  return answer;
}

async function ask(order: Order): Promise<Outcome> {
  const heard = hears(child);
  child.send(order);
  const answer = await heard;
  if (!('cpuMs' in answer)) throw new Error('The server did not say what it took.');
  return answer;
}

/** Sessions over SSE, each with a socket of its own that drops what it gets. */
async function openSessions(): Promise<void> {
  for (let index = 0; index < sessionCount; index += 1) {
    const response = await fetch(`${url}/sse?userId=user${index % 20}`);
    void response.body?.pipeTo(new WritableStream()).catch(() => undefined);
  }
}

/** The share of a request's time that goes into remembering it. */
async function measureFold(): Promise<boolean> {
  await ask({ kind: 'pings', count: pings });
  const [ping, fold] = [
    microseconds(await ask({ kind: 'pings', count: pings })),
    microseconds(await ask({ kind: 'fold' })),
  ];
  say(
    `server, no viewer: ${ping.toFixed(1)} µs of CPU a ping, of which the inspector ${fold.toFixed(2)} µs: ${percent(fold / ping)} (limit ${percent(limits.serverCost)})`,
  );
  return fold / ping < limits.serverCost;
}

/**
 * Pings with and without a viewer that reads, in many short pairs whose order alternates: what slows the machine slows
 * both. Of the pairs the middle half counts.
 */
async function measureViewer(): Promise<boolean> {
  await measureWatched();
  const pairs: { readonly alone: Outcome; readonly watched: Watched }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const first = round % 2 === 0 ? await ask({ kind: 'pings', count: pings }) : undefined;
    const watched = await measureWatched();
    pairs.push({ alone: first ?? (await ask({ kind: 'pings', count: pings })), watched });
  }
  const cost = middle(pairs.map(({ alone, watched }) => microseconds(watched) / microseconds(alone) - 1));
  const loss = middle(pairs.map(({ alone, watched }) => 1 - alone.seconds / watched.seconds));
  const [alone, watched] = [
    middle(pairs.map((pair) => microseconds(pair.alone))),
    middle(pairs.map((pair) => microseconds(pair.watched))),
  ];
  const rate = middle(pairs.map((pair) => pair.watched.bytes / pair.watched.seconds));
  say(
    `server, one viewer: ${watched.toFixed(1)} µs of CPU a ping, ${alone.toFixed(1)} without: ${percent(cost)} more (limit ${percent(limits.serverCost)})`,
  );
  say(`server, one viewer: ${percent(loss)} fewer pings a second; ${(rate / 1024).toFixed(1)} KB a second sent`);
  return cost < limits.serverCost;
}

interface Watched extends Outcome {
  readonly bytes: number;
}

async function measureWatched(): Promise<Watched> {
  const leave = new AbortController();
  let bytes = 0;
  const reading = await view(leave.signal, (size) => (bytes += size));
  bytes = 0;
  const outcome = await ask({ kind: 'pings', count: pings });
  leave.abort();
  await reading.ended;
  return { ...outcome, bytes };
}

/** Resolves with the first frame, the only large one. Reads and drops what follows until the signal aborts. */
async function view(signal: AbortSignal, count: (bytes: number) => void): Promise<{ readonly ended: Promise<void> }> {
  const { body } = await fetch(`${url}/inspector/stream`, { signal });
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const drop = new WritableStream<Uint8Array>({
    write: (chunk) => {
      count(chunk.length);
      if (chunk.at(-1) === lineEnd) begin();
    },
  });
  const ended = body?.pipeTo(drop).catch(() => undefined) ?? Promise.resolve();
  await begun;
  return { ended };
}

async function measurePage(): Promise<boolean> {
  const executablePath = await findExecutable({ chromePath: env['CHROME_PATH'], searchPath: env['PATH'] });
  const browser = await puppeteer.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    await page.goto(`${url}/inspector`);
    await page.waitForSelector('tbody tr[data-id]');
    await page.evaluate(`self.longTasks = []; new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) self.longTasks.push(duration);
    }).observe({ type: 'longtask' })`);
    await ask({ kind: 'pace', eventsASecond, seconds: 5 });
    const heapBefore = await heapOf(page);
    await page.evaluate('self.longTasks.length = 0');
    const events = await ask({ kind: 'pace', eventsASecond, seconds });
    const heapAfter = await heapOf(page);
    const tasks = ((await page.evaluate('self.longTasks')) as number[]).toSorted((one, other) => other - one);
    const [longest = 0] = tasks;
    say(`page: ${sessionCount} sessions, ${Math.round(events.count / seconds)} events a second for ${seconds} s`);
    say(
      `page: ${tasks.length} tasks over 50 ms, the longest ${longest.toFixed(0)} ms (limit ${limits.longTaskMs} ms); heap ${mb(heapBefore)} -> ${mb(heapAfter)} (limit ${limits.heapGrowth} times)`,
    );
    return longest <= limits.longTaskMs && heapAfter < heapBefore * limits.heapGrowth;
  } finally {
    await browser.close();
  }
}

async function heapOf(page: Page): Promise<number> {
  const client = await page.createCDPSession();
  await client.send('HeapProfiler.collectGarbage');
  await client.detach();
  const { JSHeapUsedSize = 0 } = await page.metrics();
  return JSHeapUsedSize;
}

function microseconds({ cpuMs, count }: Outcome): number {
  return (cpuMs * 1_000) / count;
}

/** The mean of the middle half. */
function middle(values: readonly number[]): number {
  const quarter = Math.floor(values.length / 4);
  const kept = values.toSorted((one, other) => one - other).slice(quarter, values.length - quarter);
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function mb(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(2)} MB`;
}
