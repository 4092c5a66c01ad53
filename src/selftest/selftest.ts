import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { connect } from '../cli/connect.js';
import { messageOf } from '../errors.js';
import { Bench } from './bench.js';
import type { Check } from './check.js';
import { checks } from './checks/index.js';
import { sampleExtension, startPageServer } from './pageServer.js';
import { echoWebSockets } from './webSocketEcho.js';

export interface SelftestOptions {
  /** The address of the server under test. */
  readonly url: string;
  /** Tool groups to test, as in `--tools`. */
  readonly tools?: string;
  write(line: string): void;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/**
 * Calls every tool that the server lists, through a real SSE session, and checks what it answers against the sample
 * pages and the sample extension. A listed tool without a check is a failure. Writes a line for each tool and last
 * `N passed, N failed`. Rejects if no session can be opened; ends the session and removes its files on every path.
 */
export async function runSelftest({ url, write, tools = 'all' }: SelftestOptions): Promise<Counts> {
  const server = await startPageServer();
  echoWebSockets(server.server);
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-selftest-'));
  try {
    const extension = join(folder, 'extension');
    await cp(sampleExtension, extension, { recursive: true });
    const client = await connect({ url, name: 'greenroom-selftest', tools });
    const bench = new Bench(client, { pages: server.url, extension, folder });
    const counts = await runChecks(bench, await listTools(client), write).finally(() => client.close());
    write(`${counts.passed} passed, ${counts.failed} failed`);
    return counts;
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

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

/** One after the other: they share a session and its selected page. */
async function runChecks(bench: Bench, listed: readonly string[], write: (line: string) => void): Promise<Counts> {
  const width = Math.max(0, ...listed.map((name) => name.length));
  const known = checks.filter(({ tool }) => listed.includes(tool));
  const unchecked = listed.filter((name) => !checks.some(({ tool }) => tool === name));
  let passed = 0;
  for (const check of known) {
    const { line, ok } = await runCheck(bench, check, width);
    write(line);
    if (ok) passed += 1;
  }
  for (const name of unchecked) write(`FAIL ${name.padEnd(width)}  has no check`);
  if (listed.length === 0) write('FAIL the server lists no tools');
  return { passed, failed: Math.max(listed.length, 1) - passed };
}

async function runCheck(bench: Bench, check: Check, width: number): Promise<{ line: string; ok: boolean }> {
  const start = performance.now();
  const name = check.tool.padEnd(width);
  try {
    const seen = await check.run(bench);
    return { ok: true, line: `ok   ${name}  ${seen}   ${Math.round(performance.now() - start)} ms` };
  } catch (error) {
    return { ok: false, line: `FAIL ${name}  ${messageOf(error).replaceAll('\n', '\n     ')}` };
  }
}
