import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { createFixture } from './fixture.js';

/** `npm run conformance`: the official suite against the fixture server. Last line: `N passed, N failed`. */

const suite = '@modelcontextprotocol/conformance@0.1.16';
/** The suite wants a newer Node than this package does; npm carries one. */
const node = 'node@22';
const revisions = ['2025-06-18', '2025-11-25'];
/** For one revision, in milliseconds: a quarter of a minute on an idle machine. */
const timeLimit = 240_000;

const check = z.object({ name: z.string(), status: z.string(), errorMessage: z.string().optional() });
type Check = z.infer<typeof check>;

/** Runs every server scenario of a revision; writes the results as files below `folder`. */
async function runSuite(url: string, revision: string, folder: string): Promise<void> {
  const packages = [`--package=${node}`, `--package=${suite}`];
  const asked = ['server', '--url', url, '--suite', 'all', '--spec-version', revision, '--output-dir', folder];
  const stdio = ['ignore', 'ignore', 'inherit'] as const;
  const child = spawn('npm', ['exec', '--yes', ...packages, '--', 'conformance', ...asked], {
    cwd: folder,
    stdio: [...stdio],
    timeout: timeLimit,
  });
  await new Promise((resolve) => child.once('close', resolve));
}

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
async function runRevision(url: string, revision: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-conformance-'));
  try {
    await runSuite(url, revision, folder);
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

const fixture = await createFixture(0);
try {
  const { url } = await fixture.listen();
  for (const revision of revisions) await runRevision(`${url}/mcp`, revision);
} finally {
  await fixture.close();
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
