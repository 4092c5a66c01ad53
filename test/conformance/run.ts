import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { createFixture } from './fixture.js';
import { runOfficial } from './official.js';

/** `npm run conformance`: the official suite and inspector against the fixture server. Last line: `N passed, N failed`. */

const suite = { program: 'conformance', version: '@modelcontextprotocol/conformance@0.2.0-alpha.12' };
const inspector = { program: 'mcp-inspector', version: '@modelcontextprotocol/inspector@2.12.0' };
/** What each revision requires, frozen at its release; the suite has no such list for the oldest one. */
const revisions = [
  { revision: '2025-06-18', chosen: ['--suite', 'all', '--spec-version', '2025-06-18'] },
  { revision: '2025-11-25', chosen: ['--requirements', '2025-11-25'] },
  { revision: '2026-07-28', chosen: ['--requirements', '2026-07-28'] },
];
/** For one run of a program, in milliseconds: seconds on an idle machine that has fetched it before. */
const timeoutMs = 180_000;

const check = z.object({ name: z.string(), status: z.string(), errorMessage: z.string().optional() });
type Check = z.infer<typeof check>;

/** What was checked, by scenario. */
async function readResults(folder: string): Promise<Map<string, Check[]>> {
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('checks.json'));
  const results = new Map<string, Check[]>();
  for (const file of files.sort()) {
    const checks: unknown = JSON.parse(await readFile(join(folder, file), 'utf8'));
    results.set(file.replace(/^server-|-\d{4}-\d\d-\d\dT.*$/g, ''), z.array(check).parse(checks));
  }
  return results;
}

const counts = { passed: 0, failed: 0 };

function report(name: string, problems: readonly string[]): void {
  counts[problems.length === 0 ? 'passed' : 'failed'] += 1;
  process.stdout.write(`${name}: ${problems.length === 0 ? 'passed' : 'FAILED'}\n`);
  for (const problem of problems) process.stdout.write(`  ${problem}\n`);
}

/** No failure is expected, and a warning is one: what the suite recommends is done. */
async function runRevision(url: string, { revision, chosen }: (typeof revisions)[number]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-conformance-'));
  const asked = ['server', '--url', url, ...chosen, '--output-dir', folder];
  try {
    await runOfficial({ ...suite, cwd: folder, timeoutMs }, asked);
    const results = await readResults(folder);
    if (results.size === 0) report(revision, ['The suite did not run.']);
    for (const [scenario, checks] of results) {
      const wrong = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
      report(
        `${revision} ${scenario}`,
        wrong.map(({ name, errorMessage = 'failed' }) => `${name}: ${errorMessage}`),
      );
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The inspector's command line lists the tools, with no schema that a client could stumble over, and calls one. */
async function inspect(url: string): Promise<void> {
  const run = (...args: string[]) =>
    runOfficial({ ...inspector, cwd: tmpdir(), timeoutMs }, ['--cli', url, '--method', ...args]);
  const listed = await run('tools/list', '--strict');
  const lists = listed.code === 0 && listed.output.includes('test_simple_text');
  report(`inspector lists tools of ${url}`, lists ? [] : [`exit ${listed.code}: ${listed.output}`]);
  const called = await run('tools/call', '--tool-name', 'test_simple_text');
  const calls = called.code === 0 && called.output.includes('simple text response');
  report(`inspector calls a tool of ${url}`, calls ? [] : [`exit ${called.code}: ${called.output}`]);
}

const fixture = await createFixture(0);
try {
  const { url } = await fixture.listen();
  for (const revision of revisions) await runRevision(`${url}/mcp`, revision);
  for (const door of ['mcp', 'sse']) await inspect(`${url}/${door}`);
} finally {
  await fixture.close();
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
