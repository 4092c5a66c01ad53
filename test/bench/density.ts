import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, startGreenroom, textOf } from './browserPeers.js';
import { median, spreadOf, type Figure } from './report.js';
import { startShop } from './tokenSite.js';

/** A browser process for all sessions, or one for each. */
export type Isolation = 'context' | 'process';

export interface Density {
  readonly sessions: number;
  readonly isolation: Isolation;
  /** Milliseconds from connecting to the first tool's answer, of each session. */
  readonly first: readonly number[];
  /** Milliseconds of a call while all are open. */
  readonly calls: readonly number[];
  /** Bytes of the browser's processes for each session, shared memory counted in parts. */
  readonly bytes: number;
  /** The same when nobody has used the pages for a while. */
  readonly idleBytes: number;
  /** Milliseconds of the call with which they come back. */
  readonly returns: readonly number[];
  /** Answers that were of another session's page. */
  readonly wrong: number;
}

const atOnce = 4;
/** Longer than it takes to open all sessions. */
const discardPagesAfter = 120_000;
const callsOfEach = 3;
const paths = ['/orders', '/settings', '/products', '/docs', '/reports'];
const mebi = 1024 ** 2;

/** So many sessions, each with a page of its own that stays open: what they take, and whether each sees only its own. */
export async function measureDensity(
  sessions: number,
  isolation: Isolation,
  report: (line: string) => void,
): Promise<Density> {
  const options = { maxSessions: sessions * 2, maxBrowsers: sessions * 2, isolation, discardPagesAfter };
  const [shop, greenroom] = [await startShop(), await startGreenroom(options)];
  const open: Client[] = [];
  const first: number[] = [];
  const calls: number[] = [];
  const returns: number[] = [];
  let wrong = 0;
  /** Marks the page of a session, or reads the mark. */
  const ask = (client: Client, code: string): Promise<string> =>
    textOf(client, { name: 'evaluate_script', arguments: { function: code } });
  try {
    const before = await browserBytes();
    await inParallel(sessions, async (index) => {
      const startedAt = performance.now();
      const client = await connect(new StreamableHTTPClientTransport(new URL('/mcp', greenroom.url)));
      open.push(client);
      await textOf(client, {
        name: 'navigate_page',
        arguments: { url: `${shop.url}${paths[index % paths.length] ?? ''}` },
      });
      first.push(performance.now() - startedAt);
      await ask(client, `() => { window.mark = localStorage.mark = 'mark ' + ${index}; }`);
      marks.set(client, `mark ${index}`);
    });
    const bytes = ((await browserBytes()) - before) / sessions;
    await inParallel(sessions * callsOfEach, async (index) => {
      const client = open[index % sessions];
      if (!client) return;
      const startedAt = performance.now();
      const answer = await ask(client, '() => window.mark + localStorage.mark');
      calls.push(performance.now() - startedAt);
      const mark = marks.get(client) ?? '';
      if (answer !== JSON.stringify(mark + mark)) wrong += 1;
    });
    await pause(discardPagesAfter * 1.5);
    const idleBytes = ((await browserBytes()) - before) / sessions;
    await inParallel(sessions, async (index) => {
      const client = open[index];
      if (!client) return;
      const startedAt = performance.now();
      const answer = await ask(client, '() => localStorage.mark');
      returns.push(performance.now() - startedAt);
      if (!answer.endsWith(JSON.stringify(marks.get(client)))) wrong += 1;
    });
    report(
      `${sessions} sessions, isolation ${isolation}: first tool ${median(first).toFixed(0)} ms, a call ${median(calls).toFixed(0)} ms, ${(bytes / mebi).toFixed(0)} MiB each in the browser and ${(idleBytes / mebi).toFixed(0)} when idle, back in ${median(returns).toFixed(0)} ms, ${wrong} wrong`,
    );
    return { sessions, isolation, first, calls, bytes, idleBytes, returns, wrong };
  } finally {
    for (const client of open) await client.close();
    await greenroom.orchestrator.close();
    shop.close();
  }
}

/** The first tool of a user with a token, whose session gets a process of its own that is ready. */
export async function measureFirstOfUser(rounds: number, report: (line: string) => void): Promise<Figure> {
  const dataDir = await mkdtemp(join(tmpdir(), 'greenroom-bench-'));
  const adminToken = 'the-operator-token-of-the-bench';
  const greenroom = await startGreenroom({ auth: 'token', adminToken, dataDir });
  const manage = async (path: string, body: object): Promise<unknown> => {
    const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' };
    const url = new URL(path, greenroom.url);
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
  };
  try {
    await manage('/api/users', { id: 'anna' });
    const { token } = (await manage('/api/users/anna/tokens', { label: 'bench' })) as { token: string };
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    const first: number[] = [];
    for (let round = -1; round < rounds; round += 1) {
      await pause(refillMs);
      const startedAt = performance.now();
      const url = new URL('/mcp', greenroom.url);
      const client = await connect(new StreamableHTTPClientTransport(url, { requestInit }));
      await textOf(client, { name: 'evaluate_script', arguments: { function: '() => 1 + 1' } });
      if (round >= 0) first.push(performance.now() - startedAt);
      await client.close();
    }
    report(`first tool with a token: ${first.map((ms) => ms.toFixed(0)).join(', ')} ms`);
    return { name: 'first tool with a token', ...spreadOf(first), wanted: { atMost: 150 }, unit: 'ms' };
  } finally {
    await greenroom.orchestrator.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** After that long, the server has a session ready again. */
const refillMs = 4_000;

const marks = new WeakMap<Client, string>();

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

/** Of all processes that this one has started, directly or not (PSS, of /proc). */
async function browserBytes(): Promise<number> {
  const parents = new Map<number, number>();
  for (const pid of (await readdir('/proc')).map(Number).filter(Number.isInteger)) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === process.pid || isOurs(parents.get(pid)));
  let kilobytes = 0;
  for (const pid of parents.keys()) {
    if (pid === process.pid || !isOurs(pid)) continue;
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    kilobytes += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
  }
  return kilobytes * 1024;
}

export function densityFigures({
  sessions,
  isolation,
  first,
  calls,
  bytes,
  idleBytes,
  returns,
  wrong,
}: Density): Figure[] {
  const name = (what: string): string => `${what}, ${sessions} with pages, ${isolation}`;
  return [
    { name: name('first tool'), value: median(first), wanted: { atMost: 1_000 }, unit: 'ms' },
    { name: name('a call'), value: median(calls), wanted: { atMost: 50 }, unit: 'ms' },
    {
      name: name('memory of a session'),
      value: bytes / mebi,
      wanted: { atMost: isolation === 'context' ? 50 : 250 },
      unit: 'MiB',
    },
    // A browser process of its own stays: three quarters of what such a session has.
    {
      name: name('idle : in use, memory of a session'),
      value: idleBytes / bytes,
      wanted: { atMost: isolation === 'context' ? 0.5 : 0.9 },
      unit: '',
    },
    { name: name('back after a while'), value: median(returns), wanted: { atMost: 1_000 }, unit: 'ms' },
    { name: name('answers of others'), value: wrong, wanted: { atMost: 0 }, unit: '' },
  ];
}
