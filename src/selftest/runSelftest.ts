import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { messageOf } from '../errors/errors.js';
import { CheckContext, type Check } from './checkContext.js';
import { checks } from './checks/allChecks.js';
import { CrosstalkDetector } from './crosstalk.js';
import { openSelftestSession, type SelftestSessionOptions } from './selftestSession.js';

interface SelftestOptions extends SelftestSessionOptions {
  write(line: string): void;
}

interface ParallelSelftestOptions extends SelftestOptions {
  /** Sessions that run at once. */
  readonly sessions: number;
}

interface WatchedRunOptions extends SelftestOptions {
  readonly detector: CrosstalkDetector;
  readonly index: number;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/**
 * Calls every tool that the server lists, through a real SSE session, and checks the answers with the sample pages and the
 * sample extension. A listed tool without a check is a failure. Writes a line for each tool and finally
 * `N passed, N failed`. Rejects if no session can be opened; always ends the session and removes its files.
 */
export async function runSelftest({ write, ...options }: SelftestOptions): Promise<Counts> {
  const { client, fixtures, close } = await openSelftestSession(options);
  try {
    const counts = await runChecks(new CheckContext(client, fixtures), await listTools(client), write);
    write(countsLine(counts));
    return counts;
  } finally {
    await close();
  }
}

/**
 * The selftest in several sessions at once, numbered from 1, each with a page server, a copy of the extension and
 * random words of its own. Writes the failures, a line for each session, the crosstalk, and finally the total, in which
 * each mark of one session in an answer to another counts as a failure.
 */
export async function runParallelSelftests({ write, sessions, ...options }: ParallelSelftestOptions): Promise<Counts> {
  const detector = new CrosstalkDetector();
  const all = await Promise.all(
    Array.from({ length: sessions }, (_, at) => runWatched({ ...options, write, detector, index: at + 1 })),
  );
  const { crosstalk, answers, marks } = detector;
  for (const line of crosstalk) write(`FAIL ${line}`);
  const verdict = crosstalk.length === 0 ? 'no crosstalk' : `${crosstalk.length} cases of crosstalk`;
  write(`${answers} answers, ${marks} words of ${sessions} sessions: ${verdict}`);
  const sum = (numberOf: (counts: Counts) => number): number => all.reduce((total, one) => total + numberOf(one), 0);
  const counts = { passed: sum(({ passed }) => passed), failed: sum(({ failed }) => failed) + crosstalk.length };
  write(countsLine(counts));
  return counts;
}

async function runWatched({ write, detector, index, ...options }: WatchedRunOptions): Promise<Counts> {
  const start = performance.now();
  const { client, fixtures, close } = await openSelftestSession(options);
  try {
    const context = new CheckContext(detector.watch(client, index, fixtures), fixtures);
    const counts = await runChecks(context, await listTools(client), (line) => {
      if (line.startsWith('FAIL')) write(`FAIL session ${index}: ${line.slice('FAIL '.length)}`);
    });
    write(`session ${index}: ${countsLine(counts)}   ${Math.round(performance.now() - start)} ms`);
    return counts;
  } finally {
    await close();
  }
}

const countsLine = ({ passed, failed }: Counts): string => `${passed} passed, ${failed} failed`;

async function listTools(client: Client): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.listTools(cursor === undefined ? {} : { cursor });
    names.push(...page.tools.map(({ name }) => name));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return names;
}

/** In sequence: the checks share a session and its selected page. */
async function runChecks(
  context: CheckContext,
  listed: readonly string[],
  write: (line: string) => void,
): Promise<Counts> {
  const width = Math.max(0, ...listed.map((name) => name.length));
  const known = checks.filter(({ tool }) => listed.includes(tool));
  const unchecked = listed.filter((name) => !checks.some(({ tool }) => tool === name));
  let passed = 0;
  for (const check of known) {
    const { line, ok } = await runCheck(context, check, width);
    write(line);
    if (ok) passed += 1;
  }
  for (const name of unchecked) write(`FAIL ${name.padEnd(width)}  has no check`);
  if (listed.length === 0) write('FAIL the server lists no tools');
  return { passed, failed: Math.max(listed.length, 1) - passed };
}

async function runCheck(context: CheckContext, check: Check, width: number): Promise<{ line: string; ok: boolean }> {
  const start = performance.now();
  const name = check.tool.padEnd(width);
  try {
    const seen = await check.run(context);
    return { ok: true, line: `ok   ${name}  ${seen}   ${Math.round(performance.now() - start)} ms` };
  } catch (error) {
    return { ok: false, line: `FAIL ${name}  ${messageOf(error).replaceAll('\n', '\n     ')}` };
  }
}

export interface SelftestCommandOptions {
  /** A running server. Default: one is started for the test. */
  readonly url?: string | undefined;
  /** For the running server. */
  readonly token?: string | undefined;
  /** Sessions that run it at once. */
  readonly sessions: number;
  write(line: string): void;
  startServer(): Promise<{ readonly url: string; close(): Promise<void> }>;
}

/** `greenroom selftest`: resolves with the exit code, 0 only if every listed tool passed in every session. Stops the server that it started. */
export async function selftest({ url, token, sessions, write, startServer }: SelftestCommandOptions): Promise<number> {
  const started = url === undefined ? await startServer() : undefined;
  try {
    const options = started === undefined ? { url: url ?? '', token, write } : { url: started.url, write };
    const { failed } = await (sessions === 1 ? runSelftest(options) : runParallelSelftests({ ...options, sessions }));
    return failed === 0 ? 0 : 1;
  } catch (error) {
    write(`FAIL no session: ${messageOf(error)}`);
    write('0 passed, 1 failed');
    return 1;
  } finally {
    await started?.close();
  }
}
