import { loadavg } from 'node:os';
import { argv, env, exit, stdout } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import puppeteer, { type Page } from 'puppeteer-core';
import { findExecutable } from '../../src/browser/process/executable.js';
import { systemClock } from '../../src/clock.js';
import { concernsActor, type ActorObservation } from '../../src/inspector/actorObservation.js';
import { Journal } from '../../src/inspector/journal.js';
import { createOrchestrator, type Orchestrator } from '../../src/orchestrator.js';
import type { Session } from '../../src/session/session.js';
import { FakePool } from '../support/fakePool.js';

/**
 * What the inspector costs the server, and whether its page stays smooth: `npm run bench:inspector -- --seconds 600`.
 * Exits 1 past a limit. Figures of a machine that does other work say little: its load is printed with them.
 */
const sessionCount = 1_000;
const eventsASecond = 500;
const limits = { longTaskMs: 200, serverCost: 0.05, heapGrowth: 1.5 };

const seconds = Number(argv[argv.indexOf('--seconds') + 1]) || 60;
const say = (line: string): void => void stdout.write(`${line}\n`);

const seen: ActorObservation[] = [];
let watching = false;
const orchestrator = await createOrchestrator({
  pool: new FakePool(),
  tools: [],
  options: { port: 0, maxSessions: sessionCount, maxSessionsPerUser: sessionCount, initializeTimeout: '2h' },
  observe: (observation) => {
    if (watching && concernsActor(observation)) seen.push(observation);
  },
});
const { url } = await orchestrator.listen();
const sessions = await openSessions(orchestrator);
const isCheap = await measureServer();
await measureViewer();
const isSmooth = await measurePage();
await orchestrator.close();
exit(isCheap && isSmooth ? 0 : 1);

/** Sessions over SSE, each with a socket of its own that drops what it gets. */
async function openSessions({ registry }: Orchestrator): Promise<readonly Session[]> {
  for (let index = 0; index < sessionCount; index += 1) {
    const response = await fetch(`${url}/sse?userId=user${index % 20}`);
    void response.body?.pipeTo(new WritableStream());
  }
  return registry.list();
}

function ping(index: number): void {
  const session = sessions[index % sessions.length];
  void session?.receive({ jsonrpc: '2.0', id: index, method: 'ping' });
}

/** The share of a request's time that goes into remembering it: the same observations, folded again by themselves. */
async function measureServer(): Promise<boolean> {
  const requests = 20_000;
  await rate(requests);
  watching = true;
  await rate(2_000);
  watching = false;
  const eachMs = 1_000 / (await rate(requests));
  const journal = new Journal(systemClock, () => undefined);
  const rounds = 20;
  const start = performance.now();
  for (let round = 0; round < rounds; round += 1) for (const observation of seen) journal.fold(observation);
  const foldMs = (performance.now() - start) / rounds / 2_000;
  const share = foldMs / eachMs;
  say(
    `server, no viewer: ${(eachMs * 1_000).toFixed(1)} µs a ping, of which the inspector ${(foldMs * 1_000).toFixed(2)} µs (${percent(share)})`,
  );
  return share < limits.serverCost;
}

/** Pings a second with and without a stream that is read, by turns; the reader works in this process, so it is told, not judged. */
async function measureViewer(): Promise<void> {
  const rates = { alone: 0, watched: 0 };
  for (let round = 0; round < 3; round += 1) {
    rates.alone = Math.max(rates.alone, await rate(20_000));
    const leave = new AbortController();
    const stream = await fetch(`${url}/inspector/stream`, { signal: leave.signal });
    const reading = stream.body?.pipeTo(new WritableStream()).catch(() => undefined);
    rates.watched = Math.max(rates.watched, await rate(20_000));
    leave.abort();
    await reading;
  }
  const { alone, watched } = rates;
  say(
    `server, one viewer: ${watched.toFixed(0)} pings a second, ${alone.toFixed(0)} without: ${percent(1 - watched / alone)} less`,
  );
}

async function rate(requests: number): Promise<number> {
  const start = performance.now();
  for (let index = 0; index < requests; index += 1) {
    ping(index);
    if (index % 100 === 0) await pause(0);
  }
  return requests / ((performance.now() - start) / 1_000);
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
    await churn(5);
    const heapBefore = await heapOf(page);
    await page.evaluate('self.longTasks.length = 0');
    const events = await churn(seconds);
    const heapAfter = await heapOf(page);
    const tasks = ((await page.evaluate('self.longTasks')) as number[]).toSorted((one, other) => other - one);
    const [longest = 0] = tasks;
    say(`page: ${sessionCount} sessions, ${Math.round(events / seconds)} events a second for ${seconds} s`);
    say(
      `page: ${tasks.length} tasks over 50 ms, the longest ${longest.toFixed(0)} ms; heap ${mb(heapBefore)} -> ${mb(heapAfter)}`,
    );
    say(
      `load of the machine: ${loadavg()
        .map((value) => value.toFixed(1))
        .join(' ')}`,
    );
    return longest <= limits.longTaskMs && heapAfter < heapBefore * limits.heapGrowth;
  } finally {
    await browser.close();
  }
}

/** A ping is an event that arrives and one that settles it. Resolves with the number of events. */
async function churn(duration: number): Promise<number> {
  const start = performance.now();
  let events = 0;
  for (let index = 0; performance.now() - start < duration * 1_000; index += 1) {
    const due = ((performance.now() - start) / 1_000) * eventsASecond;
    for (; events < due; events += 2) ping(index + events);
    await pause(10);
  }
  return events;
}

async function heapOf(page: Page): Promise<number> {
  const client = await page.createCDPSession();
  await client.send('HeapProfiler.collectGarbage');
  await client.detach();
  const { JSHeapUsedSize = 0 } = await page.metrics();
  return JSHeapUsedSize;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function mb(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}
