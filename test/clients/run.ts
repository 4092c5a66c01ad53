import { spawn } from 'node:child_process';
import { access, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { startServerProcess } from '../e2e/support/serverProcess.js';
import { chromium } from '../support/chromium.js';
import { mainProgram, root } from '../support/root.js';
import { clients, node22, type RealClient } from './clients.js';

/**
 * `npm run clients`: real clients, from npm at pinned versions, against a real server with a real browser. Each is installed
 * once, without its scripts, into a folder of the user's cache. `-- --write` puts the table into the page on transports;
 * `-- NAME…` runs the clients whose names begin so. Last line: `N passed, N failed`.
 */

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'greenroom-clients');
const drivers = join(root, 'test/clients/drivers');
/** On an idle machine the slowest takes 20 s; an installation depends on the network. */
const runTimeoutMs = 240_000;
const installTimeoutMs = 600_000;
const concurrency = 2;

interface Spawned {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program to its end, or for as long as it may take. */
function runProgram(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv; readonly timeout: number },
): Promise<Spawned> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'], killSignal: 'SIGKILL' });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-1_000_000)));
    child.once('error', reject);
    // Not `close`: what the program started and left may hold its output.
    child.once('exit', (code) => resolve({ code, output }));
  });
}

const installing = new Map<string, Promise<string>>();

/** The folder in which the packages are installed, now or in an earlier run, without some of their dependencies. */
function install(packages: readonly string[], without: readonly string[] = []): Promise<string> {
  const folder = join(cache, packages.join('+').replaceAll(/[^\w.+-]/g, '_'));
  const installation = installing.get(folder) ?? installInto(folder, packages, without);
  installing.set(folder, installation);
  return installation;
}

async function installInto(folder: string, packages: readonly string[], without: readonly string[]): Promise<string> {
  if (
    await access(folder).then(
      () => true,
      () => false,
    )
  )
    return folder;
  await mkdir(cache, { recursive: true });
  const unfinished = await mkdtemp(join(cache, 'unfinished-'));
  const nothing = 'file:./nothing';
  const overrides = Object.fromEntries(without.map((name) => [name, nothing]));
  await mkdir(join(unfinished, 'nothing'));
  await writeFile(join(unfinished, 'nothing/package.json'), '{ "name": "nothing", "version": "1.0.0" }');
  await writeFile(join(unfinished, 'package.json'), JSON.stringify({ private: true, overrides }));
  const args = [
    'install',
    '--ignore-scripts',
    ...(without.length > 0 ? ['--legacy-peer-deps', '--omit=optional'] : []),
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--fetch-retries=1',
    ...packages,
  ];
  const { code, output } = await runProgram('npm', args, { cwd: unfinished, timeout: installTimeoutMs });
  if (code !== 0) {
    await rm(unfinished, { recursive: true, force: true });
    throw new Error(`npm install ended with ${code}: ${output.slice(-300)}`);
  }
  await rename(unfinished, folder);
  return folder;
}

const reported = z.object({ results: z.record(z.string(), z.string()) });
/** What a client did: `ok`, or what went wrong, for each check. */
type Results = Readonly<Record<string, string>>;

async function runClient(
  { driver, way, packages, without, needsNode22, cannot = [] }: RealClient,
  url: string,
): Promise<Results> {
  const folder = await install(packages, without);
  const node = needsNode22
    ? join(await install([node22]), 'node_modules', node22.split('@')[0] ?? '', 'bin/node')
    : process.execPath;
  // Modules are looked up beside the file that imports them.
  for (const file of ['checks.mjs', `${driver}.mjs`]) await copyFile(join(drivers, file), join(folder, file));
  const home = await mkdtemp(join(tmpdir(), 'greenroom-client-home-'));
  try {
    const env = {
      ...process.env,
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      MCP_URL: url,
      PAGE_URL: 'data:text/html,<h1>Hello</h1>',
      SERVER_PROGRAM: mainProgram,
      CHROME_PATH: chromium,
      WAY: way,
      CANNOT: cannot.join(),
    };
    const { code, output } = await runProgram(node, [`${driver}.mjs`], { cwd: folder, env, timeout: runTimeoutMs });
    const line = output.split('\n').findLast((text) => text.startsWith('{"results":'));
    if (line === undefined) return { connects: `it ended with ${code}: ${output.slice(-500)}` };
    return reported.parse(JSON.parse(line)).results;
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The marks between which the page on transports has the table. */
const [begin, end] = ['<!-- clients -->', '<!-- /clients -->'];

function tableOf(rows: readonly (readonly [RealClient, Results])[]): string {
  const lines = rows.map(([{ title, packages, over }, results]) => {
    const version = (packages[0] ?? '').replace(/^.+@/, '');
    const works = Object.entries(results).flatMap(([name, outcome]) => (outcome === 'ok' ? [name] : []));
    return `| ${title} | ${version} | ${over} | ${works.join(', ')} |`;
  });
  return ['| client | version | over | what works |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

async function writeTable(table: string): Promise<void> {
  const file = join(root, 'src/transport/README.md');
  const page = await readFile(file, 'utf8');
  const [before, rest = ''] = page.split(begin);
  const [, after = ''] = rest.split(end);
  await writeFile(file, `${before}${begin}\n\n${table}\n\n${end}${after}`);
}

const names = process.argv.slice(2).filter((argument) => argument !== '--write');
const chosen = clients.filter(({ title }) => names.length === 0 || names.some((name) => title.startsWith(name)));
const limits = ['--max-sessions', '100', '--max-sessions-per-user', '100', '--prewarm', '0'];
const server = await startServerProcess(['--tools', 'all', ...limits]);
const outcomes = new Map<RealClient, Results>();
try {
  const waiting = [...chosen];
  const work = async (): Promise<void> => {
    for (let client = waiting.shift(); client !== undefined; client = waiting.shift()) {
      const startedAt = Date.now();
      const results = await runClient(client, server.url).catch((error: unknown) => ({ installs: String(error) }));
      outcomes.set(client, results);
      const failures = Object.entries(results).filter(([, outcome]) => outcome !== 'ok');
      const verdict = failures.length === 0 ? 'passed' : 'FAILED';
      process.stdout.write(`${client.title} over ${client.over}: ${verdict} after ${Date.now() - startedAt} ms\n`);
      for (const [name, outcome] of failures) process.stdout.write(`  ${name}: ${outcome}\n`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
} finally {
  await server.dispose();
}
const table = tableOf(chosen.map((client) => [client, outcomes.get(client) ?? {}]));
process.stdout.write(`\n${table}\n\n`);
if (process.argv.includes('--write')) await writeTable(table);
const results = [...outcomes.values()].flatMap((each) => Object.values(each));
const passed = results.filter((outcome) => outcome === 'ok').length;
process.stdout.write(`${passed} passed, ${results.length - passed} failed\n`);
process.exitCode = passed === results.length && passed > 0 ? 0 : 1;
